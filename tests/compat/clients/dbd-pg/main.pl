# DBD::Pg: the whole scenario; prepares on the server by itself from the second execution on.
use strict;
use warnings;
use utf8;
use DBI;
use DBD::Pg qw(:pg_types :async);
use JSON::PP;
use Time::HiRes qw(sleep time);

$| = 1;
my $json = JSON::PP->new->canonical->utf8->allow_nonref;
my %sql = map { lc(substr($_, 4)) => $ENV{$_} } grep { /^SQL_/ } keys %ENV;
my %read = map { my $text = $sql{$_}; $text =~ s/\$\d/?/g; $_ => $text } keys %sql;

sub emit { print $json->encode($_[0]), "\n" }

sub shown {
    my ($value) = @_;
    return ref($value) eq 'ARRAY' ? [map { shown($_) } @$value] : defined($value) ? "$value" : undef;
}

my $failed;    # what the handle said of the last error

sub step {
    my ($name, $action) = @_;
    undef $failed;
    my $result = eval { [$action->()] };
    if ($result) { emit({ step => $name, result => shown($result) }) }
    else {
        my $said = $failed // { message => "$@" };
        emit({ step => $name, error => $said });
    }
}

sub remember {
    my ($message, $handle) = @_;
    my $text = $handle->errstr // $message;
    my ($detail) = $text =~ /^DETAIL:\s+(.*)$/m;
    my ($hint) = $text =~ /^HINT:\s+(.*)$/m;
    my ($first) = $text =~ /^(?:ERROR|FATAL):\s+(?:\w{5}: )?(.*)$/m;
    $failed = { sqlstate => $handle->state, message => $first // $text, detail => $detail, hint => $hint };
    return 0;
}

sub open_with {
    my ($dsn, $user, $password) = @_;
    my %how = (RaiseError => 1, PrintError => 0, PrintWarn => 0, AutoCommit => 1, HandleError => \&remember, pg_enable_utf8 => 1);
    return DBI->connect("dbi:Pg:$dsn", $user // '', $password // '', \%how);
}

sub once {
    my $dbh = open_with(@_);
    my $rows = $dbh->selectall_arrayref($sql{count});
    $dbh->disconnect;
    return $rows;
}

sub wait_for {
    emit({ wait => $_[0] });
    defined(<STDIN>) or die "the runner is gone\n";
}

my $libpq = open_with('')->{pg_lib_version};
emit({ version => "$DBD::Pg::VERSION", libpq => int($libpq / 10000) . '.' . $libpq % 10000 });
step('connect_keywords', sub { once("host=$ENV{PGHOST};port=$ENV{PGPORT};dbname=$ENV{PGDATABASE};sslmode=verify-full", $ENV{PGUSER}, $ENV{PGPASSWORD}) });
step('connect_uri', sub { once($ENV{COMPAT_URI}) });
step('connect_service', sub { once('service=compat') });
step('connect_certificate', sub {
    local $ENV{PGPASSWORD} = '';
    once("sslcert=$ENV{COMPAT_CERT};sslkey=$ENV{COMPAT_CERT_KEY}", $ENV{COMPAT_CERT_USER});
});

my $dbh = open_with('');
step('connect_ping', sub { [$dbh->ping, $dbh->pg_ping, $dbh->{pg_server_version}] });
step('simple', sub { $dbh->selectall_arrayref($sql{first}, { pg_server_prepare => 0 }) });
step('types', sub {
    my $sth = $dbh->prepare($sql{types});
    $sth->execute;
    [$sth->{NAME}, $sth->{pg_type}, $sth->{PRECISION}, $sth->{NULLABLE}, $sth->fetchall_arrayref];
});
step('extended', sub { $dbh->selectall_arrayref($read{extended}, undef, 3, 'note 7') });
step('prepared', sub {
    my $sth = $dbh->prepare($read{prepared}, { pg_prepare_now => 1 });
    [map { $sth->execute($_); $sth->fetchall_arrayref } 1 .. 3];
});
step('batch', sub {
    my $sth = $dbh->prepare($read{insert});
    $sth->execute_array({}, [1, 2, 3], ['one', 'zwei', undef]);
    my $several = $dbh->do($sql{several});
    [$several, $dbh->selectall_arrayref($read{sunk}, undef, 1, 9)];
});
step('copy_out', sub {
    $dbh->do($sql{copy_out});
    my ($all, $line) = ('', '');
    $all .= $line while $dbh->pg_getcopydata($line) >= 0;
    $all;
});
step('copy_in', sub {
    $dbh->do($sql{copy_in});
    $dbh->pg_putcopydata("$_\tcopied $_\n") for 101 .. 180;
    $dbh->pg_putcopyend;
    $dbh->selectall_arrayref($read{sunk}, undef, 101, 103);
});
step('failed_copy_in', sub {
    $dbh->do($sql{copy_in});
    $dbh->pg_putcopydata("101\tagain\n");
    eval { $dbh->pg_putcopyend };
    [$dbh->state, $dbh->selectall_arrayref($sql{one})];
});
step('cursor', sub {
    $dbh->begin_work;
    $dbh->do("DECLARE part SCROLL CURSOR FOR $sql{cursor}");
    my @parts = map { $dbh->selectcol_arrayref($_) } 'FETCH 4 FROM part', 'FETCH BACKWARD 2 FROM part', 'FETCH ALL FROM part';
    $dbh->commit;
    \@parts;
});
step('listen', sub { $dbh->do($sql{listen}) });
step('cancel', sub {
    my $sth = $dbh->prepare($sql{sleep}, { pg_async => PG_ASYNC });
    $sth->execute;
    sleep 0.5;
    my $cancelled = $dbh->pg_cancel;
    [$cancelled, $dbh->selectall_arrayref($sql{one})];
});
for my $name (qw(error_detail error_hint error_name denied)) {
    step($name, sub { $dbh->selectall_arrayref($sql{$name}) });
}
step('denied_prepared', sub { $dbh->selectall_arrayref($read{denied_prepared}, undef, 1) });
step('transaction', sub {
    my @states;
    $dbh->begin_work;
    $dbh->do($read{insert}, undef, 201, 'before');
    $dbh->pg_savepoint('s');
    eval { $dbh->selectall_arrayref($sql{locked}) };
    push @states, $dbh->state, $dbh->ping;
    $dbh->pg_rollback_to('s');
    $dbh->do($read{insert}, undef, 202, 'after');
    $dbh->commit;
    [\@states, $dbh->ping, $dbh->selectall_arrayref($read{sunk}, undef, 201, 209)];
});
step('failed_transaction', sub {
    my @states;
    $dbh->begin_work;
    for my $text ("INSERT INTO public.sink VALUES (211, 'x')", $sql{locked}, $sql{one}) {
        eval { $dbh->do($text) };
        push @states, $dbh->state, $dbh->ping;
    }
    $dbh->rollback;
    [\@states, $dbh->ping, $dbh->selectall_arrayref($read{sunk}, undef, 211, 219)];
});
step('own_table_info', sub { $dbh->table_info(undef, 'public', '%', 'TABLE,VIEW')->fetchall_arrayref([1 .. 4]) });
step('own_column_info', sub { $dbh->column_info(undef, 'public', 'books', '%')->fetchall_arrayref });
step('own_primary_key_info', sub { $dbh->primary_key_info(undef, 'public', 'books')->fetchall_arrayref });
step('own_foreign_key_info', sub { $dbh->foreign_key_info(undef, 'public', 'authors', undef, 'public', 'books')->fetchall_arrayref });
step('own_statistics_info', sub { $dbh->statistics_info(undef, 'public', 'books', 0, 0)->fetchall_arrayref });
step('own_type_info', sub { [scalar @{ $dbh->type_info_all }] });
step('own_tables', sub { [$dbh->tables(undef, 'public', '%', 'TABLE')] });
step('own_last_insert_id', sub {
    $dbh->do("INSERT INTO public.authors (name) VALUES ('DBD')");
    $dbh->last_insert_id(undef, 'public', 'authors', undef);
});
$dbh->disconnect;

wait_for('grant');
my @heard;
local $SIG{__WARN__} = sub { push @heard, $_[0] };
$dbh = open_with('');
$dbh->{PrintWarn} = 1;
step('notice', sub {
    my $begun = time;
    do { $dbh->do($sql{nap}) } while (!@heard && time - $begun < $ENV{COMPAT_NOTICE_WAIT});
    \@heard;
});
wait_for('end');
step('end', sub { $dbh->selectall_arrayref($sql{sleep}) });
step('after_end', sub { $dbh->ping });
wait_for('again');
step('reconnect', sub { once('') });

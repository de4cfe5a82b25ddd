<?php
// PDO: the whole scenario, with prepared statements of the server's and with emulated ones; and pg_* functions for cancel and COPY.
$sql = [];
foreach (getenv() as $name => $text) {
    if (str_starts_with($name, 'SQL_')) {
        $sql[strtolower(substr($name, 4))] = $text;
    }
}
$read = array_map(fn ($text) => preg_replace('/\$\d/', '?', $text), $sql);

function emit($line)
{
    echo json_encode($line, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES), "\n";
    flush();
}

function shown($value)
{
    if (is_resource($value)) {
        return 'bytes ' . bin2hex(stream_get_contents($value));
    }
    return is_array($value) ? array_map('shown', $value) : (is_float($value) ? var_export($value, true) : $value);
}

function fields($error)
{
    $text = $error->getMessage();
    preg_match('/DETAIL:\s+(.*)/', $text, $detail);
    preg_match('/HINT:\s+(.*)/', $text, $hint);
    preg_match('/(?:ERROR|FATAL):\s+(.*)/', $text, $message);
    return [
        'class' => $error::class, 'sqlstate' => $error instanceof PDOException ? (string) ($error->errorInfo[0] ?? $error->getCode()) : null,
        'message' => $message[1] ?? $text, 'detail' => $detail[1] ?? null, 'hint' => $hint[1] ?? null,
    ];
}

function step($name, $action)
{
    try {
        emit(['step' => $name, 'result' => shown($action())]);
    } catch (Exception $error) {
        emit(['step' => $name, 'error' => fields($error)]);
    }
}

function wait($what)
{
    emit(['wait' => $what]);
    fgets(STDIN) !== false or exit(1);
}

function connect($dsn = 'pgsql:', $user = null, $password = null)
{
    return new PDO($dsn, $user, $password, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC]);
}

function all($pdo, $text, $values = [], $how = [])
{
    $statement = $pdo->prepare($text, $how);
    $statement->execute($values);
    return $statement->fetchAll();
}

function once(...$how)
{
    global $sql;
    return connect(...$how)->query($sql['count'])->fetchAll();
}

function state($pdo, $text)
{
    try {
        $pdo->exec($text);
        return [null, $pdo->inTransaction()];
    } catch (PDOException $error) {
        return [$error->errorInfo[0], $pdo->inTransaction()];
    }
}

$pdo = connect();
emit(['version' => PHP_VERSION, 'libpq' => $pdo->getAttribute(PDO::ATTR_CLIENT_VERSION)]);
$server = 'pgsql:host=' . getenv('PGHOST') . ';port=' . getenv('PGPORT') . ';dbname=' . getenv('PGDATABASE') . ';sslmode=verify-full;sslrootcert=' . getenv('PGSSLROOTCERT');
step('connect_keywords', fn () => once($server, getenv('PGUSER'), getenv('PGPASSWORD')));
step('connect_uri', fn () => pg_fetch_all(pg_query(pg_connect(getenv('COMPAT_URI'), PGSQL_CONNECT_FORCE_NEW), $sql['count'])));
step('connect_service', fn () => once('pgsql:service=compat'));
step('connect_certificate', function () use ($sql) {
    $dsn = 'sslcert=' . getenv('COMPAT_CERT') . ' sslkey=' . getenv('COMPAT_CERT_KEY') . " user=" . getenv('COMPAT_CERT_USER') . " password=''";
    return pg_fetch_all(pg_query(pg_connect($dsn, PGSQL_CONNECT_FORCE_NEW), $sql['count']));
});
step('connect_persistent', function () use ($sql) {
    $pdo = new PDO('pgsql:', null, null, [PDO::ATTR_PERSISTENT => true]);
    return $pdo->query($sql['count'])->fetchAll();
});
step('simple', fn () => $pdo->query($sql['first'])->fetchAll());
step('types', fn () => all($pdo, $sql['types']));
step('types_described', function () use ($pdo, $sql) {
    $statement = $pdo->query($sql['types']);
    return array_map(fn ($index) => $statement->getColumnMeta($index), range(0, 19));
});
step('extended', fn () => all($pdo, $read['extended'], [3, 'note 7']));
step('extended_emulated', fn () => all($pdo, $read['extended'], [3, 'note 7'], [PDO::ATTR_EMULATE_PREPARES => true]));
step('prepared', function () use ($pdo, $read) {
    $statement = $pdo->prepare($read['prepared']);
    return array_map(function ($number) use ($statement) {
        $statement->execute([$number]);
        return $statement->fetchAll();
    }, [1, 2, 3]);
});
step('batch', function () use ($pdo, $read, $sql) {
    $statement = $pdo->prepare($read['insert']);
    foreach ([[1, 'one'], [2, 'zwei'], [3, null]] as $values) {
        $statement->execute($values);
    }
    return [$pdo->exec($sql['several']), all($pdo, $read['sunk'], [1, 9]), $statement->rowCount()];
});
step('copy_out', fn () => $pdo->pgsqlCopyToArray('public.notes'));
step('copy_in', function () use ($pdo, $read) {
    $lines = array_map(fn ($number) => "$number\tcopied $number\n", range(101, 180));
    return [$pdo->pgsqlCopyFromArray('public.sink', $lines), all($pdo, $read['sunk'], [101, 103])];
});
step('failed_copy_in', fn () => $pdo->pgsqlCopyFromArray('public.sink', ["101\tagain\n"]));
step('cursor', function () use ($pdo, $sql) {
    $statement = $pdo->prepare($sql['cursor'], [PDO::ATTR_CURSOR => PDO::CURSOR_SCROLL]);
    $pdo->beginTransaction();
    $statement->execute();
    $rows = [$statement->fetch(), $statement->fetch(PDO::FETCH_ASSOC, PDO::FETCH_ORI_LAST), $statement->fetch(PDO::FETCH_ASSOC, PDO::FETCH_ORI_PRIOR)];
    $statement->closeCursor();
    $pdo->commit();
    return $rows;
});
step('listen', fn () => $pdo->exec($sql['listen']));
step('cancel', function () use ($sql) {
    $conn = pg_connect('', PGSQL_CONNECT_FORCE_NEW);
    pg_send_query($conn, $sql['sleep']);
    usleep(500000);
    $cancelled = pg_cancel_query($conn);
    return [$cancelled, pg_fetch_all(pg_query($conn, $sql['one']))];
});
foreach (['error_detail', 'error_hint', 'error_name', 'denied'] as $name) {
    step($name, fn () => $pdo->query($sql[$name])->fetchAll());
}
step('denied_prepared', fn () => all($pdo, $read['denied_prepared'], [1]));
step('transaction', function () use ($pdo, $sql, $read) {
    $pdo->beginTransaction();
    $pdo->exec("INSERT INTO public.sink VALUES (201, 'before')");
    $pdo->exec('SAVEPOINT s');
    $states = [state($pdo, $sql['locked']), state($pdo, 'ROLLBACK TO s')];
    $pdo->exec("INSERT INTO public.sink VALUES (202, 'after')");
    $pdo->commit();
    return [$states, $pdo->inTransaction(), all($pdo, $read['sunk'], [201, 209])];
});
step('failed_transaction', function () use ($pdo, $sql, $read) {
    $pdo->beginTransaction();
    $states = [state($pdo, "INSERT INTO public.sink VALUES (211, 'x')"), state($pdo, $sql['locked']), state($pdo, $sql['one'])];
    $pdo->rollBack();
    return [$states, $pdo->inTransaction(), all($pdo, $read['sunk'], [211, 219])];
});
step('own_last_insert_id', function () use ($pdo) {
    $pdo->exec("INSERT INTO public.authors (name) VALUES ('PDO')");
    return [$pdo->lastInsertId(), $pdo->lastInsertId('public.authors_id_seq')];
});
step('own_pg_functions', function () {
    $conn = pg_connect('', PGSQL_CONNECT_FORCE_NEW);
    return [
        pg_meta_data($conn, 'public.books', true), pg_insert($conn, 'sink', ['id' => 301, 'body' => 'x']),
        pg_select($conn, 'sink', ['id' => 301]), pg_update($conn, 'sink', ['body' => 'y'], ['id' => 301]),
        pg_delete($conn, 'sink', ['id' => 301]), pg_field_table(pg_query($conn, 'SELECT id FROM books'), 0),
    ];
});
$pdo = null;

wait('grant');
$conn = pg_connect('', PGSQL_CONNECT_FORCE_NEW);
step('notice', function () use ($conn, $sql) {
    $begun = microtime(true);
    do {
        pg_query($conn, $sql['nap']);
        $heard = pg_last_notice($conn, PGSQL_NOTICE_ALL);
    } while (!$heard && microtime(true) - $begun < (float) getenv('COMPAT_NOTICE_WAIT'));
    return $heard;
});
$pdo = connect();
wait('end');
step('end', fn () => $pdo->query($sql['sleep'])->fetchAll());
step('after_end', fn () => $pdo->query($sql['one'])->fetchAll());
wait('again');
step('reconnect', fn () => once());

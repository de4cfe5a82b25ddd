# ruby-pg: the whole scenario, on libpq's functions as they are.
require 'json'
require 'pg'
$stdout.sync = true

SQL = ENV.select { |name, _| name.start_with?('SQL_') }.to_h { |name, text| [name[4..].downcase, text] }

def emit(line) = puts(JSON.generate(line))

def fields(error)
  result = error.respond_to?(:result) && error.result
  get = ->(code) { result && result.error_field(code)&.force_encoding('UTF-8') }
  {
    class: error.class.name, sqlstate: get.(PG::PG_DIAG_SQLSTATE),
    message: get.(PG::PG_DIAG_MESSAGE_PRIMARY) || error.message.dup.force_encoding('UTF-8').scrub,
    detail: get.(PG::PG_DIAG_MESSAGE_DETAIL), hint: get.(PG::PG_DIAG_MESSAGE_HINT),
  }
end

def step(name)
  emit(step: name, result: yield)
rescue PG::Error => error
  emit(step: name, error: fields(error))
end

def connect(*how) = PG.connect(*how)

def once(*how)
  conn = connect(*how)
  conn.exec(SQL['count']).values
ensure
  conn&.close
end

def wait(what)
  emit(wait: what)
  $stdin.gets or exit(false)
end

def state(conn, text, values = [])
  conn.exec_params(text, values).cmd_status
rescue PG::Error => error
  error.result&.error_field(PG::PG_DIAG_SQLSTATE)
end

def seen(result) = [result.fields, result.fields.each_index.map { |i| [result.ftype(i), result.fmod(i)] }, result.values, result.cmd_status]

emit(version: PG::VERSION, libpq: "#{PG.library_version / 10_000}.#{PG.library_version % 10_000}")
step('connect_keywords') do
  once(host: ENV['PGHOST'], port: ENV['PGPORT'], user: ENV['PGUSER'], password: ENV['PGPASSWORD'], dbname: ENV['PGDATABASE'],
       sslmode: 'verify-full', sslrootcert: ENV['PGSSLROOTCERT'])
end
step('connect_uri') { once(ENV['COMPAT_URI']) }
step('connect_service') { once('service=compat') }
step('connect_certificate') do
  once(user: ENV['COMPAT_CERT_USER'], password: '', sslcert: ENV['COMPAT_CERT'], sslkey: ENV['COMPAT_CERT_KEY'])
end

conn = connect
sunk = ->(from, to) { conn.exec_params(SQL['sunk'], [from, to]).values }
step('simple') { seen(conn.exec(SQL['first'])) }
step('types') { seen(conn.exec(SQL['types'])) }
step('types_mapped') do
  conn.exec(SQL['types']).map_types!(PG::BasicTypeMapForResults.new(conn)).values.map { |row| row.map(&:inspect) }
end
step('types_binary') { conn.exec_params(SQL['types'], [], 1).values.map { |row| row.map { |value| value&.unpack1('H*') } } }
step('extended') { seen(conn.exec_params(SQL['extended'], [3, 'note 7'])) }
step('prepared') do
  conn.prepare('by_id', SQL['prepared'])
  described = conn.describe_prepared('by_id')
  [described.nparams, described.paramtype(0), *[1, 2, 3].map { |number| conn.exec_prepared('by_id', [number]).values }]
end
step('pipeline') do
  conn.enter_pipeline_mode
  6.times { |number| conn.send_query_params(SQL['prepared'], [number + 1]) }
  conn.pipeline_sync
  answers = []
  loop do
    result = conn.get_result or next
    break if result.result_status == PG::PGRES_PIPELINE_SYNC
    answers << result.values
  end
  conn.exit_pipeline_mode
  answers
end
step('pipeline_with_a_failure') do
  conn.enter_pipeline_mode
  [SQL['one'], SQL['locked'], SQL['one']].each { |text| conn.send_query_params(text, []) }
  conn.pipeline_sync
  conn.send_query_params(SQL['one'], [])
  conn.pipeline_sync
  answers = []
  syncs = 0
  while syncs < 2
    result = conn.get_result or next
    syncs += 1 if result.result_status == PG::PGRES_PIPELINE_SYNC
    answers << [result.res_status(result.result_status), result.error_field(PG::PG_DIAG_SQLSTATE)]
  end
  conn.exit_pipeline_mode
  answers
end
step('batch') do
  [[1, 'one'], [2, 'zwei'], [3, nil]].each { |values| conn.exec_params(SQL['insert'], values) }
  conn.send_query(SQL['several'])
  answers = []
  while (result = conn.get_result)
    answers << result.values
  end
  [answers, sunk.(1, 9)]
end
step('copy_out') do
  all = +''
  conn.copy_data(SQL['copy_out']) do
    while (row = conn.get_copy_data)
      all << row
    end
  end
  all
end
step('copy_in') do
  result = conn.copy_data(SQL['copy_in']) { (101..180).each { |number| conn.put_copy_data("#{number}\tcopied #{number}\n") } }
  [result.cmd_status, sunk.(101, 103)]
end
step('copy_in_given_up') do
  begin
    conn.copy_data(SQL['copy_in']) { raise 'given up' }
  rescue RuntimeError => error
    [error.message, conn.exec(SQL['one']).values]
  end
end
step('failed_copy_in') { conn.copy_data(SQL['copy_in']) { conn.put_copy_data("101\tagain\n") } }
step('cursor') do
  conn.transaction do
    conn.exec("DECLARE part SCROLL CURSOR FOR #{SQL['cursor']}")
    ['FETCH 4 FROM part', 'FETCH BACKWARD 2 FROM part', 'FETCH ALL FROM part'].map { |text| conn.exec(text).values }
  end
end
step('cursor_row_by_row') do
  conn.send_query(SQL['cursor'])
  conn.set_single_row_mode
  rows = []
  while (result = conn.get_result)
    rows << result.values
  end
  rows
end
step('listen') { conn.exec(SQL['listen']).cmd_status }
step('cancel') do
  conn.send_query(SQL['sleep'])
  sleep 0.5
  conn.cancel
  conn.get_last_result
end
step('cancel_and_go_on') { conn.exec(SQL['one']).values }
%w[error_detail error_hint error_name denied].each { |name| step(name) { conn.exec(SQL[name]).values } }
step('denied_prepared') { conn.exec_params(SQL['denied_prepared'], [1]).values }
step('transaction') do
  states = [['BEGIN'], [SQL['insert'], [201, 'before']], ['SAVEPOINT s'], [SQL['locked']], ['ROLLBACK TO s'],
            [SQL['insert'], [202, 'after']], ['COMMIT']].map { |text, values| [state(conn, text, values || []), conn.transaction_status] }
  [states, sunk.(201, 209)]
end
step('failed_transaction') do
  states = [['BEGIN'], [SQL['insert'], [211, 'x']], [SQL['locked']], [SQL['one']], ['COMMIT']]
           .map { |text, values| [state(conn, text, values || []), conn.transaction_status] }
  [states, sunk.(211, 219)]
end
step('reset') { conn.exec('DISCARD ALL').cmd_status }
conn.close

wait('grant')
conn = connect
notices = []
conn.set_notice_receiver { |result| notices << result.error_field(PG::PG_DIAG_MESSAGE_PRIMARY) }
step('notice') do
  begun = Time.now
  loop do
    conn.exec(SQL['nap'])
    break if !notices.empty? || Time.now - begun > ENV['COMPAT_NOTICE_WAIT'].to_f
  end
  notices
end
wait('end')
step('end') { conn.exec(SQL['sleep']).values }
step('after_end') { conn.exec(SQL['one']).values }
wait('again')
# The same object, as connection pools do.
step('reconnect') { conn.reset && conn.exec(SQL['count']).values }

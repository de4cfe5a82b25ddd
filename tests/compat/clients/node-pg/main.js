// node-postgres: the whole scenario, with its companions for cursors, streams and COPY.
const fs = require('node:fs')
const { pipeline: piped } = require('node:stream/promises')
const { Readable } = require('node:stream')
const pg = require('pg')
const Cursor = require('pg-cursor')
const QueryStream = require('pg-query-stream')
const copy = require('pg-copy-streams')
const compat = require(process.env.LIB + '/compat.js')
const { SQL, env, step, Skip } = compat

const ca = fs.readFileSync(env.PGSSLROOTCERT, 'utf8')
const options = () => ({
  host: env.PGHOST,
  port: Number(env.PGPORT),
  user: env.PGUSER,
  password: env.PGPASSWORD,
  database: env.PGDATABASE,
  ssl: { ca },
})

const connect = async (more = {}) => {
  const client = new pg.Client({ ...options(), ...more })
  // Without a listener the end of a connection ends the program.
  client.on('error', (error) => (client.heard = error))
  await client.connect()
  return client
}

const once = async (more = {}) => {
  const client = await connect(more)
  try {
    return (await client.query(SQL.count)).rows
  } finally {
    await client.end()
  }
}

const certificate = () =>
  once({
    user: env.COMPAT_CERT_USER,
    password: '',
    ssl: { ca, cert: fs.readFileSync(env.COMPAT_CERT), key: fs.readFileSync(env.COMPAT_CERT_KEY) },
  })

const byUri = async () => {
  const client = new pg.Client({ connectionString: env.COMPAT_URI })
  await client.connect()
  const { rows } = await client.query(SQL.count)
  await client.end()
  return rows
}

const pool = async () => {
  const pool = new pg.Pool({ ...options(), max: 3 })
  const answers = await Promise.all([1, 2, 3, 4, 5, 6, 7].map((number) => pool.query(SQL.prepared, [number])))
  await pool.end()
  return answers.map((answer) => answer.rows)
}

const seen = (answer) => [answer.command, answer.rowCount, answer.rows, answer.fields.map((field) => [field.name, field.dataTypeID])]

const prepared = async (client) => {
  const answers = []
  for (const number of [1, 2, 3]) {
    answers.push((await client.query({ name: 'by-id', text: SQL.prepared, values: [number] })).rows)
  }
  return answers
}

// Not awaited one by one: the client queues them.
const queued = async (client) => {
  const answers = await Promise.all([1, 2, 3, 4, 5].map((number) => client.query(SQL.prepared, [number])))
  return answers.map((answer) => answer.rows)
}

const batch = async (client) => {
  for (const [number, body] of [[1, 'one'], [2, 'zwei'], [3, null]]) await client.query(SQL.insert, [number, body])
  const several = await client.query(SQL.several)
  return [several.map(seen), (await client.query(SQL.sunk, [1, 9])).rows]
}

const copyOut = async (client) => {
  const chunks = []
  for await (const chunk of client.query(copy.to(SQL.copy_out))) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

const copyIn = async (client) => {
  const rows = Array.from({ length: 80 }, (_, index) => `${101 + index}\tcopied ${101 + index}\n`)
  const stream = client.query(copy.from(SQL.copy_in))
  await piped(Readable.from(rows), stream)
  return [stream.rowCount, (await client.query(SQL.sunk, [101, 103])).rows]
}

const failedCopyIn = async (client) => {
  try {
    await piped(Readable.from(['101\tagain\n']), client.query(copy.from(SQL.copy_in)))
  } catch (error) {
    return [error.code, (await client.query(SQL.one)).rows]
  }
}

const cursor = async (client) => {
  const cursor = client.query(new Cursor(SQL.cursor))
  const answers = [await cursor.read(4), await cursor.read(4), await cursor.read(4)]
  await cursor.close()
  const half = client.query(new Cursor(SQL.cursor))
  answers.push(await half.read(3))
  await half.close()
  const streamed = []
  for await (const row of client.query(new QueryStream(SQL.cursor, [], { batchSize: 3 }))) streamed.push(row.id)
  return [answers, streamed]
}

const cancel = async (client) => {
  const sleeping = client.query(SQL.sleep)
  await compat.sleep(500)
  const other = new pg.Client(options())
  other.cancel(client, client._activeQuery || client.activeQuery)
  try {
    await sleeping
    return 'not cancelled'
  } finally {
    await client.query(SQL.one)
  }
}

const state = async (client, text, values) => {
  try {
    return (await client.query(text, values)).command
  } catch (error) {
    return error.code
  }
}

const block = async (client, texts, range) => {
  const answers = []
  for (const [text, values] of texts) answers.push(await state(client, text, values))
  return [answers, (await client.query(SQL.sunk, range)).rows]
}

const transaction = (client) =>
  block(
    client,
    [['BEGIN'], [SQL.insert, [201, 'before']], ['SAVEPOINT s'], [SQL.locked], ['ROLLBACK TO s'], [SQL.insert, [202, 'x']], ['COMMIT']],
    [201, 209],
  )
const failedTransaction = (client) =>
  block(client, [['BEGIN'], [SQL.insert, [211, 'x']], [SQL.locked], [SQL.one], ['COMMIT']], [211, 219])

const theEnd = async () => {
  await compat.wait('grant')
  const client = await connect()
  const notices = []
  client.on('notice', (notice) => notices.push({ sqlstate: notice.code, message: notice.message }))
  await step('notice', () => compat.untilNotice(() => client.query(SQL.nap), notices))
  await compat.wait('end')
  await step('end', () => client.query(SQL.sleep))
  await step('after_end', () => client.query(SQL.one))
  await compat.wait('again')
  await step('reconnect', () => once())
}

const main = async () => {
  compat.version(require('pg/package.json').version)
  await step('connect_keywords', () => once({ enableChannelBinding: true }))
  await step('connect_uri', byUri)
  await step('connect_service', () => {
    throw new Skip('node-postgres reads no service file')
  })
  await step('connect_certificate', certificate)
  await step('connect_direct_tls', () => once({ sslnegotiation: 'direct', ssl: { ca } }))
  await step('connect_pool', pool)
  const client = await connect()
  await step('simple', async () => seen(await client.query(SQL.first)))
  await step('types', async () => seen(await client.query(SQL.types)))
  await step('types_binary', async () => seen(await client.query({ text: SQL.first, binary: true, values: [] })))
  await step('extended', async () => seen(await client.query(SQL.extended, [3, 'note 7'])))
  await step('prepared', () => prepared(client))
  await step('pipeline', () => queued(client))
  await step('batch', () => batch(client))
  await step('copy_out', () => copyOut(client))
  await step('copy_in', () => copyIn(client))
  await step('failed_copy_in', () => failedCopyIn(client))
  await step('cursor', () => cursor(client))
  await step('listen', async () => (await client.query(SQL.listen)).command)
  await step('cancel', () => cancel(client))
  for (const name of ['error_detail', 'error_hint', 'error_name', 'denied']) await step(name, async () => (await client.query(SQL[name])).rows)
  await step('denied_prepared', async () => (await client.query({ name: 'pay', text: SQL.denied_prepared, values: [1] })).rows)
  await step('transaction', () => transaction(client))
  await step('failed_transaction', () => failedTransaction(client))
  await step('reset', async () => (await client.query('DISCARD ALL')).command)
  await client.end()
  await theEnd()
  compat.done()
}

main()

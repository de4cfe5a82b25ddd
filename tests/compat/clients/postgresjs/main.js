// postgres.js: prepares everything by itself, pipelines by itself, asks the catalogs for array types when it connects.
const fs = require('node:fs')
const { pipeline: piped } = require('node:stream/promises')
const { Readable } = require('node:stream')
const postgres = require('postgres')
const compat = require(process.env.LIB + '/compat.js')
const { SQL, env, step, Skip } = compat

const ca = fs.readFileSync(env.PGSSLROOTCERT, 'utf8')
const connect = (more = {}) =>
  postgres({
    host: env.PGHOST,
    port: Number(env.PGPORT),
    username: env.PGUSER,
    password: env.PGPASSWORD,
    database: env.PGDATABASE,
    ssl: { ca },
    max: 1,
    onnotice: () => {},
    ...more,
  })

const once = async (sql) => {
  try {
    return [...(await sql.unsafe(SQL.count))]
  } finally {
    await sql.end()
  }
}

const certificate = () =>
  once(
    connect({
      username: env.COMPAT_CERT_USER,
      password: '',
      ssl: { ca, cert: fs.readFileSync(env.COMPAT_CERT), key: fs.readFileSync(env.COMPAT_CERT_KEY) },
    }),
  )

const state = async (action) => {
  try {
    const answer = await action
    return answer.command
  } catch (error) {
    return error.code
  }
}

const rows = (answer) => [...answer]
const sunk = async (sql, from, to) => rows(await sql.unsafe(SQL.sunk, [from, to]))

const batch = async (sql) => {
  await sql`INSERT INTO public.sink ${sql([{ id: 1, body: 'one' }, { id: 2, body: 'zwei' }, { id: 3, body: null }])}`
  const several = await sql.unsafe(SQL.several).simple()
  return [several.map(rows), await sunk(sql, 1, 9)]
}

const copyOut = async (sql) => {
  const chunks = []
  for await (const chunk of await sql.unsafe(SQL.copy_out).readable()) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

const copyIn = async (sql) => {
  const lines = Array.from({ length: 80 }, (_, index) => `${101 + index}\tcopied ${101 + index}\n`)
  await piped(Readable.from(lines), await sql.unsafe(SQL.copy_in).writable())
  return sunk(sql, 101, 103)
}

const cursor = async (sql) => {
  const parts = []
  await sql.unsafe(SQL.cursor).cursor(4, (part) => void parts.push(part.map((row) => row.id)))
  for await (const part of sql.unsafe(SQL.cursor).cursor(3)) {
    parts.push(part.map((row) => row.id))
    if (parts.length === 5) break
  }
  const each = []
  await sql.unsafe(SQL.cursor).forEach((row) => void each.push(row.id))
  return [parts, each]
}

const cancel = async (sql) => {
  const sleeping = sql.unsafe(SQL.sleep)
  setTimeout(() => sleeping.cancel(), 500)
  try {
    await sleeping
    return 'not cancelled'
  } finally {
    await sql.unsafe(SQL.one)
  }
}

const transaction = async (sql) => {
  const states = []
  await sql.begin(async (sql) => {
    await sql.unsafe(SQL.insert, [201, 'before'])
    states.push(await state(sql.savepoint((sql) => sql.unsafe(SQL.locked))))
    await sql.unsafe(SQL.insert, [202, 'after'])
  })
  return [states, await sunk(sql, 201, 209)]
}

const failedTransaction = async (sql) => {
  const failed = sql.begin(async (sql) => {
    await sql.unsafe(SQL.insert, [211, 'x'])
    await sql.unsafe(SQL.locked)
  })
  return [await state(failed), await sunk(sql, 211, 219)]
}

const theEnd = async () => {
  await compat.wait('grant')
  const notices = []
  const sql = connect({ onnotice: (notice) => notices.push({ sqlstate: notice.code, message: notice.message }) })
  await step('notice', () => compat.untilNotice(() => sql.unsafe(SQL.nap), notices))
  await compat.wait('end')
  await step('end', () => sql.unsafe(SQL.sleep))
  await compat.wait('again')
  // It keeps what PostgreSQL said for the query that comes next.
  await step('after_end', () => sql.unsafe(SQL.one))
  // And connects again by itself.
  await step('reconnect', async () => rows(await sql.unsafe(SQL.count)))
  await sql.end()
}

const main = async () => {
  compat.version(JSON.parse(fs.readFileSync(require.resolve('postgres').replace(/cjs.*$/, 'package.json'))).version)
  await step('connect_keywords', () => once(connect()))
  await step('connect_uri', () => once(postgres(env.COMPAT_URI.split('?')[0], { ssl: { ca } })))
  await step('connect_service', () => {
    throw new Skip('postgres.js reads no service file')
  })
  await step('connect_certificate', certificate)
  const sql = connect()
  await step('simple', async () => rows(await sql.unsafe(SQL.first).simple()))
  await step('types', async () => {
    const answer = await sql.unsafe(SQL.types, [], { prepare: true })
    return [rows(answer), answer.columns.map((column) => [column.name, column.type])]
  })
  await step('extended', async () => rows(await sql.unsafe(SQL.extended, [3, 'note 7'])))
  await step('prepared', async () => {
    const answers = []
    for (const number of [1, 2, 3]) answers.push(rows(await sql`SELECT body FROM public.notes WHERE id = ${number}`))
    return answers
  })
  await step('prepared_described', async () => {
    const described = await sql.unsafe(SQL.extended).describe()
    return [described.types, described.columns.map((column) => [column.name, column.type])]
  })
  await step('pipeline', async () => (await Promise.all([1, 2, 3, 4, 5, 6].map((number) => sql`SELECT body FROM public.notes WHERE id = ${number}`))).map(rows))
  await step('batch', () => batch(sql))
  await step('copy_out', () => copyOut(sql))
  await step('copy_in', () => copyIn(sql))
  await step('cursor', () => cursor(sql))
  const listening = connect()
  await step('listen', async () => {
    const { state } = await listening.listen('jobs', () => {})
    return typeof state
  })
  await listening.end()
  await step('cancel', () => cancel(sql))
  for (const name of ['error_detail', 'error_hint', 'error_name', 'denied']) await step(name, async () => rows(await sql.unsafe(SQL[name])))
  await step('denied_prepared', async () => rows(await sql`SELECT salary FROM staff.people WHERE id = ${1}`))
  await step('transaction', () => transaction(sql))
  await step('failed_transaction', () => failedTransaction(sql))
  await sql.end()
  await theEnd()
  compat.done()
}

main()

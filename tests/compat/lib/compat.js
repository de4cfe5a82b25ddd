// What the programs for node share: the connection from the environment, one JSON line a step, the waits.
const readline = require('node:readline')

exports.SQL = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => name.startsWith('SQL_')).map(([name, text]) => [name.slice(4).toLowerCase(), text]),
)
exports.env = process.env
exports.noticeWait = Number(process.env.COMPAT_NOTICE_WAIT) * 1000

exports.Skip = class Skip extends Error {}

const emit = (line) => process.stdout.write(JSON.stringify(line) + '\n')

exports.version = (version, libpq = null) => emit({ version, libpq })

// A value as JSON, with what JavaScript tells apart told apart.
const shown = (value) => {
  if (value === undefined) return 'undefined'
  if (typeof value === 'bigint') return `bigint ${value}`
  if (typeof value === 'number') return Number.isFinite(value) ? value : `number ${value}`
  if (value === null || typeof value !== 'object') return value
  if (Buffer.isBuffer(value) || value instanceof Uint8Array) return 'bytes ' + Buffer.from(value).toString('hex')
  if (value instanceof Date) return `Date ${Number.isNaN(value.getTime()) ? 'invalid' : value.toISOString()}`
  if (Array.isArray(value)) return value.map(shown)
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, shown(item)]))
}
exports.shown = shown

const text = (value) => (value === undefined || value === null ? null : String(value))

// Errors of node-postgres, postgres.js and what is built on them carry PostgreSQL's own fields.
exports.fields = (error) => {
  const own = error.driverError || error.cause || error
  return {
    class: error.constructor.name,
    sqlstate: text(own.code),
    message: text(own.message || error.message),
    detail: text(own.detail),
    hint: text(own.hint),
  }
}

exports.step = async (name, action) => {
  try {
    emit({ step: name, result: shown(await action()) })
  } catch (error) {
    if (error instanceof exports.Skip) emit({ step: name, skip: error.message })
    else emit({ step: name, error: exports.fields(error) })
  }
}

const lines = readline.createInterface({ input: process.stdin })
const iterator = lines[Symbol.asyncIterator]()

exports.wait = async (what) => {
  emit({ wait: what })
  if ((await iterator.next()).done) process.exit('the runner is gone')
}
exports.done = () => lines.close()

exports.untilNotice = async (nap, notices) => {
  const begun = Date.now()
  do {
    await nap()
  } while (notices.length === 0 && Date.now() - begun < exports.noticeWait)
  return notices
}

exports.sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds))

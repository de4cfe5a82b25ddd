// Drizzle on node-postgres: its query builder, relations, transactions, and its migrator.
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const pg = require('pg')
const { drizzle } = require('drizzle-orm/node-postgres')
const { migrate } = require('drizzle-orm/node-postgres/migrator')
const { pgTable, integer, serial, text, timestamp, jsonb } = require('drizzle-orm/pg-core')
const { asc, count, eq, relations, sql } = require('drizzle-orm')
const compat = require(process.env.LIB + '/compat.js')
const { SQL, env, step } = compat

const ca = fs.readFileSync(env.PGSSLROOTCERT, 'utf8')
const pool = (more = {}) => {
  const pool = new pg.Pool({
    host: env.PGHOST, port: Number(env.PGPORT), user: env.PGUSER, password: env.PGPASSWORD, database: env.PGDATABASE, ssl: { ca }, ...more,
  })
  pool.on('error', () => {})
  return pool
}

const sink = pgTable('sink', { id: integer('id').primaryKey(), body: text('body') })
const notes = pgTable('notes', { id: integer('id').primaryKey(), body: text('body').notNull() })
const people = pgTable('drizzle_people', {
  id: serial('id').primaryKey(), name: text('name').notNull().unique(), extra: jsonb('extra'), made: timestamp('made').notNull().default(new Date(0)),
})
const pets = pgTable('drizzle_pets', { id: serial('id').primaryKey(), owner: integer('owner').notNull().references(() => people.id), name: text('name') })
const schema = {
  sink, notes, people, pets,
  peopleRelations: relations(people, ({ many }) => ({ pets: many(pets) })),
  petsRelations: relations(pets, ({ one }) => ({ person: one(people, { fields: [pets.owner], references: [people.id] }) })),
}

// What drizzle-kit writes, as far as the migrator reads it.
const migrations = () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'drizzle'))
  fs.mkdirSync(path.join(folder, 'meta'))
  const entries = [{ idx: 0, version: '7', when: 1700000000000, tag: '0000_first', breakpoints: true }]
  fs.writeFileSync(path.join(folder, 'meta/_journal.json'), JSON.stringify({ version: '7', dialect: 'postgresql', entries }))
  fs.writeFileSync(
    path.join(folder, '0000_first.sql'),
    `CREATE TABLE IF NOT EXISTS "drizzle_people" (
	"id" serial PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"extra" jsonb,
	"made" timestamp DEFAULT '1970-01-01 00:00:00.000' NOT NULL,
	CONSTRAINT "drizzle_people_name_unique" UNIQUE("name")
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS "drizzle_pets" (
	"id" serial PRIMARY KEY NOT NULL,
	"owner" integer NOT NULL,
	"name" text
);
--> statement-breakpoint
ALTER TABLE "drizzle_pets" ADD CONSTRAINT "drizzle_pets_owner_fk" FOREIGN KEY ("owner") REFERENCES "public"."drizzle_people"("id") ON DELETE no action ON UPDATE no action;
--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "drizzle_pets_name" ON "drizzle_pets" USING btree ("name");
`,
  )
  return folder
}

const sunk = (db, from, to) => db.select().from(sink).where(sql`${sink.id} between ${from} and ${to}`).orderBy(asc(sink.id))

const code = async (action) => {
  try {
    await action
    return 'done'
  } catch (error) {
    return compat.fields(error).sqlstate
  }
}

const transaction = async (db) => {
  const states = []
  await db.transaction(async (outer) => {
    await outer.insert(sink).values({ id: 201, body: 'before' })
    states.push(await code(outer.transaction((inner) => inner.execute(sql.raw(SQL.locked)))))
    await outer.insert(sink).values({ id: 202, body: 'after' })
  })
  return [states, await sunk(db, 201, 209)]
}

const mapped = async (db) => {
  const made = await db.insert(people).values([{ name: 'Ada', extra: { a: 1 } }, { name: 'Grace' }]).returning()
  await db.insert(pets).values([{ owner: made[0].id, name: 'cat' }, { owner: made[0].id, name: 'dog' }])
  await db.insert(people).values({ name: 'Ada' }).onConflictDoUpdate({ target: people.name, set: { extra: { b: 2 } } })
  return [
    made,
    await db.query.people.findMany({ with: { pets: true }, orderBy: asc(people.id) }),
    await db.select({ name: people.name, many: count(pets.id) }).from(people).leftJoin(pets, eq(pets.owner, people.id)).groupBy(people.name).orderBy(people.name),
    await db.update(pets).set({ name: 'tiger' }).where(eq(pets.name, 'cat')).returning({ id: pets.id }),
    await db.delete(pets).where(eq(pets.name, 'dog')).returning(),
    await db.$count(people),
  ]
}

const theEnd = async () => {
  await compat.wait('grant')
  const notices = []
  const own = pool({ max: 1 })
  own.on('connect', (client) => client.on('notice', (notice) => notices.push(notice.message)))
  const db = drizzle(own)
  await step('notice', () => compat.untilNotice(() => db.execute(sql.raw(SQL.nap)), notices))
  await compat.wait('end')
  await step('end', () => db.execute(sql.raw(SQL.sleep)))
  await compat.wait('again')
  await step('reconnect', async () => (await db.execute(sql.raw(SQL.count))).rows)
  await own.end()
}

const main = async () => {
  compat.version(JSON.parse(fs.readFileSync(path.join(env.NODE_PATH, 'drizzle-orm/package.json'))).version)
  await step('connect_uri', async () => {
    const db = drizzle(env.COMPAT_URI)
    const { rows } = await db.execute(sql.raw(SQL.count))
    await db.$client.end()
    return rows
  })
  const own = pool()
  const db = drizzle(own, { schema })
  await step('connect_keywords', async () => (await db.execute(sql.raw(SQL.count))).rows)
  await step('simple', () => db.select().from(notes).orderBy(notes.id).limit(3))
  await step('types', async () => (await db.execute(sql.raw(SQL.types))).rows)
  await step('extended', () => db.select().from(notes).where(sql`${notes.id} = ${3} or ${notes.body} = ${'note 7'}`).orderBy(notes.id))
  await step('prepared', async () => {
    const byId = db.select().from(notes).where(eq(notes.id, sql.placeholder('id'))).prepare('drizzle_by_id')
    return [await byId.execute({ id: 1 }), await byId.execute({ id: 2 })]
  })
  await step('batch', async () => [await db.insert(sink).values([{ id: 1, body: 'one' }, { id: 2, body: 'zwei' }, { id: 3 }]).returning(), await sunk(db, 1, 9)])
  for (const name of ['error_detail', 'error_hint', 'error_name', 'denied']) await step(name, async () => (await db.execute(sql.raw(SQL[name]))).rows)
  await step('transaction', () => transaction(db))
  const folder = migrations()
  await step('own_migrate', () => migrate(db, { migrationsFolder: folder, migrationsSchema: 'public' }))
  // Each statement for itself; those of a migration that has been run change nothing.
  await step('own_migrate_by_hand', async () => {
    const statements = fs.readFileSync(path.join(folder, '0000_first.sql'), 'utf8').split('--> statement-breakpoint')
    for (const statement of statements) if (!statement.includes('ADD CONSTRAINT')) await db.execute(sql.raw(statement))
  })
  await step('own_orm', () => mapped(db))
  await own.end()
  await theEnd()
  compat.done()
}

main()

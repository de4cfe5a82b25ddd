// TypeORM: schema synchronisation with all that it asks the catalogs for, migrations, repositories, query runners.
const fs = require('node:fs')
const path = require('node:path')
require('reflect-metadata')
const { DataSource, EntitySchema } = require('typeorm')
const compat = require(process.env.LIB + '/compat.js')
const { SQL, env, step } = compat

const ca = fs.readFileSync(env.PGSSLROOTCERT, 'utf8')

const Person = new EntitySchema({
  name: 'Person',
  tableName: 'typeorm_people',
  columns: {
    id: { type: Number, primary: true, generated: 'identity' },
    name: { type: String, length: 80, unique: true },
    kind: { type: 'enum', enum: ['big', 'small'], default: 'small' },
    tags: { type: 'text', array: true, default: () => "'{}'" },
    extra: { type: 'jsonb', nullable: true },
    made: { type: 'timestamptz', default: () => "'2024-01-01'" },
  },
  relations: { pets: { type: 'one-to-many', target: 'Pet', inverseSide: 'owner', cascade: true } },
  indices: [{ name: 'typeorm_people_kind', columns: ['kind'] }],
  checks: [{ name: 'typeorm_people_name', expression: '"name" <> \'\'' }],
})
const Pet = new EntitySchema({
  name: 'Pet',
  tableName: 'typeorm_pets',
  columns: { id: { type: Number, primary: true, generated: true }, name: { type: String } },
  relations: { owner: { type: 'many-to-one', target: 'Person', joinColumn: true, onDelete: 'CASCADE' } },
})

class Added1700000000000 {
  name = 'Added1700000000000'
  async up(runner) {
    await runner.query('ALTER TABLE "typeorm_pets" ADD "age" integer')
    await runner.query('COMMENT ON COLUMN "typeorm_pets"."age" IS \'in years\'')
  }
  async down(runner) {
    await runner.query('ALTER TABLE "typeorm_pets" DROP COLUMN "age"')
  }
}

const source = (more = {}) =>
  new DataSource({
    type: 'postgres', host: env.PGHOST, port: Number(env.PGPORT), username: env.PGUSER, password: env.PGPASSWORD, database: env.PGDATABASE,
    ssl: { ca }, entities: [Person, Pet], migrations: [Added1700000000000], installExtensions: false, logging: false, poolErrorHandler: () => {}, ...more,
  }).initialize()

const once = async (more) => {
  const made = await source(more)
  const rows = await made.query(SQL.count)
  await made.destroy()
  return rows
}

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
    await outer.query(SQL.insert, [201, 'before'])
    states.push(await code(outer.transaction((inner) => inner.query(SQL.locked))))
    await outer.query(SQL.insert, [202, 'after'])
  })
  return [states, await db.query(SQL.sunk, [201, 209])]
}

const failed = async (db) => {
  const runner = db.createQueryRunner()
  await runner.startTransaction()
  const states = []
  for (const [text, values] of [[SQL.insert, [211, 'x']], [SQL.locked], [SQL.one]]) states.push(await code(runner.query(text, values)))
  await runner.commitTransaction()
  await runner.release()
  return [states, await db.query(SQL.sunk, [211, 219])]
}

const mapped = async (db) => {
  const people = db.getRepository('Person')
  await people.save([{ name: 'Ada', kind: 'big', tags: ['a'], pets: [{ name: 'cat' }, { name: 'dog' }] }, { name: 'Grace', extra: { a: 1 } }])
  await people.upsert([{ name: 'Grace', extra: { b: 2 } }], ['name'])
  return [
    await people.find({ relations: { pets: true }, order: { id: 'ASC', pets: { id: 'ASC' } } }),
    await people.findAndCount({ where: { kind: 'big' } }),
    await people.createQueryBuilder('p').leftJoin('p.pets', 'pet').select('p.name', 'name').addSelect('count(pet.id)', 'many').groupBy('p.name').orderBy('p.name').getRawMany(),
    await people.createQueryBuilder('p').setLock('pessimistic_write').where({ name: 'Ada' }).useTransaction(true).getOne(),
    await people.update({ name: 'Grace' }, { kind: 'big' }),
    (await people.delete({ name: 'Ada' })).affected,
    await db.getRepository('Pet').count(),
  ]
}

const described = async (db, name) => {
  const runner = db.createQueryRunner()
  const table = await runner.getTable(name)
  await runner.release()
  const columns = table.columns.map((column) => [column.name, column.type, column.isNullable, column.isGenerated, column.default, column.isPrimary, column.comment])
  return [columns, table.indices.map((index) => [index.name, index.columnNames]), table.foreignKeys.map((key) => [key.name, key.referencedTableName, key.onDelete]), table.uniques.map((unique) => unique.name), table.checks.map((check) => [check.name, check.expression])]
}

const theEnd = async () => {
  await compat.wait('grant')
  const db = await source({ extra: { max: 1 }, logNotifications: true })
  await step('notice', () => {
    throw new compat.Skip('TypeORM keeps no notices')
  })
  await compat.wait('end')
  await step('end', () => db.query(SQL.sleep))
  await compat.wait('again')
  await step('reconnect', () => db.query(SQL.count))
  await db.destroy()
}

const main = async () => {
  compat.version(JSON.parse(fs.readFileSync(path.join(env.NODE_PATH, 'typeorm/package.json'))).version)
  await step('connect_keywords', () => once())
  await step('connect_uri', () => once({ host: undefined, port: undefined, username: undefined, password: undefined, database: undefined, url: env.COMPAT_URI.split('?')[0] }))
  const db = await source({ migrationsTransactionMode: 'none' })
  await step('simple', () => db.query(SQL.first))
  await step('types', () => db.query(SQL.types))
  await step('extended', () => db.query(SQL.extended, [3, 'note 7']))
  await step('batch', async () => {
    for (const [number, body] of [[1, 'one'], [2, 'zwei'], [3, null]]) await db.query(SQL.insert, [number, body])
    return db.query(SQL.sunk, [1, 9])
  })
  for (const name of ['error_detail', 'error_hint', 'error_name', 'denied']) await step(name, () => db.query(SQL[name]))
  await step('denied_prepared', () => db.query(SQL.denied_prepared, [1]))
  await step('transaction', () => transaction(db))
  await step('failed_transaction', () => failed(db))
  await step('own_synchronize_in_a_transaction', async () => {
    const atOnce = await source()
    try {
      await atOnce.synchronize()
      for (const name of ['typeorm_pets', 'typeorm_people']) await atOnce.createQueryRunner().dropTable(name)
      await atOnce.query('DROP TYPE typeorm_people_kind_enum')
    } finally {
      await atOnce.destroy()
    }
  })
  await step('own_synchronize', () => db.synchronize())
  await step('own_synchronize_again', async () => (await db.driver.createSchemaBuilder().log()).upQueries.map((query) => query.query))
  await step('own_migrate', async () => (await db.runMigrations()).map((migration) => migration.name))
  await step('own_orm', () => mapped(db))
  for (const name of ['public.books', 'public.typeorm_people', 'public.typeorm_pets']) await step(`own_table ${name}`, () => described(db, name))
  await step('own_migrate_back', () => db.undoLastMigration())
  await step('own_drop', () => db.createQueryRunner().dropTable('typeorm_pets'))
  await db.destroy()
  await theEnd()
  compat.done()
}

main()

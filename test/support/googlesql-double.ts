/**
 * A DOUBLE of BigQuery's SQL: GoogleSQL statements, translated into DuckDB's dialect and run there, in memory.
 *
 * What is translated: names in backticks (the project is dropped), named parameters (written in as literals of their
 * type), `UNNEST(@array of structs)` (a list of rows), PARSE_JSON (a cast), and of scripts BEGIN and COMMIT TRANSACTION,
 * and `IF … THEN RAISE USING MESSAGE = '…'; END IF`. Everything else is given to DuckDB as it is.
 * What is therefore not proved: that BigQuery parses these statements, coerces their types as DuckDB does, takes these
 * parameters, isolates transactions as DuckDB does (which aborts the later of two that change one row, as BigQuery
 * documents of itself), or words its errors like this. That the statements mean what they should is what is tested.
 */
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';

/** What BigQuery says when it refuses: HTTP status, reason, message. */
export class BigQueryError extends Error {
  readonly status: number;
  readonly reason: string;

  constructor(status: number, reason: string, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

interface ParameterType {
  readonly type: string;
  readonly arrayType?: {
    readonly type: string;
    readonly structTypes?: readonly { name: string; type: { type: string } }[];
  };
}
interface ParameterValue {
  readonly value?: string | number | boolean | null;
  readonly arrayValues?: readonly { readonly structValues?: Readonly<Record<string, ParameterValue>> }[];
}
export interface QueryParameter {
  readonly name: string;
  readonly parameterType: ParameterType;
  readonly parameterValue: ParameterValue;
}

export interface Field {
  readonly name: string;
  readonly type: string;
  readonly mode?: string;
}

export interface ResultSet {
  readonly fields: readonly Field[];
  readonly rows: readonly (readonly (string | null)[])[];
}

/** BigQuery's names of types (both of them) and DuckDB's. */
const TYPES: Readonly<Record<string, string>> = {
  STRING: 'VARCHAR',
  INT64: 'BIGINT',
  INTEGER: 'BIGINT',
  BOOL: 'BOOLEAN',
  BOOLEAN: 'BOOLEAN',
  TIMESTAMP: 'TIMESTAMP WITH TIME ZONE',
  BYTES: 'BLOB',
  JSON: 'JSON',
};

const BACK: Readonly<Record<string, string>> = {
  VARCHAR: 'STRING',
  BIGINT: 'INTEGER',
  INTEGER: 'INTEGER',
  HUGEINT: 'INTEGER',
  BOOLEAN: 'BOOLEAN',
  'TIMESTAMP WITH TIME ZONE': 'TIMESTAMP',
  BLOB: 'BYTES',
  JSON: 'JSON',
};

function duckType(type: string): string {
  const known = TYPES[type];
  if (known === undefined) throw new BigQueryError(400, 'notImplemented', `The double knows no type ${type}`);
  return known;
}

function literal(type: string, { value }: ParameterValue): string {
  const text = value === null || value === undefined ? 'NULL' : `'${String(value).replaceAll("'", "''")}'`;
  return `CAST(${text} AS ${duckType(type)})`;
}

function rowsOf({ name, parameterType, parameterValue }: QueryParameter): string {
  const fields = parameterType.arrayType?.structTypes;
  if (fields === undefined) throw new BigQueryError(400, 'notImplemented', `@${name} is no array of structs`);
  const rows = (parameterValue.arrayValues ?? []).map(({ structValues }) =>
    Object.fromEntries(fields.map((field) => [field.name, structValues?.[field.name]?.value ?? null])),
  );
  const shape = Object.fromEntries(fields.map((field) => [field.name, 'VARCHAR']));
  const columns = fields.map((field) => `CAST(${field.name} AS ${duckType(field.type.type)}) AS ${field.name}`);
  const [values, types] = [rows, [shape]].map((value) => `'${JSON.stringify(value).replaceAll("'", "''")}'`);
  return `(SELECT ${columns.join(', ')} FROM (SELECT unnest(from_json(${values}, ${types}), recursive := true)))`;
}

/** One statement in DuckDB's dialect. */
function translated(sql: string, parameters: readonly QueryParameter[]): string {
  const named = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  const given = (name: string): QueryParameter => {
    const parameter = named.get(name);
    if (parameter === undefined) throw new BigQueryError(400, 'invalidQuery', `Query parameter '${name}' not found`);
    return parameter;
  };
  // Names and parameters in one pass: what a value says is looked at no more.
  return sql
    .replaceAll(/PARSE_JSON\(([^()]*)\)/g, 'CAST($1 AS JSON)')
    .replaceAll(
      /`(?:[^`.]+\.)?([^`.]+)\.([^`.]+)`|UNNEST\(@(\w+)\)|@(\w+)/g,
      (_, dataset?: string, table?: string, rows?: string, name?: string) => {
        if (dataset !== undefined) return `"${dataset}"."${table}"`;
        if (rows !== undefined) return rowsOf(given(rows));
        const { parameterType, parameterValue } = given(name ?? '');
        return literal(parameterType.type, parameterValue);
      },
    );
}

const RAISE = /^IF\s+([\s\S]+?)\s+THEN\s+RAISE USING MESSAGE = '([^']*)'$/;

export class GoogleSql {
  readonly #instance: DuckDBInstance;

  private constructor(instance: DuckDBInstance) {
    this.#instance = instance;
  }

  static async open(): Promise<GoogleSql> {
    return new GoogleSql(await DuckDBInstance.create(':memory:'));
  }

  /** Statements in order, as one job: what the last SELECT gives. An open transaction is rolled back where one fails. */
  async run(sql: string, parameters: readonly QueryParameter[] = []): Promise<ResultSet> {
    const connection = await this.#instance.connect();
    let result: ResultSet = { fields: [], rows: [] };
    let open = false;
    try {
      const statements = sql
        .split(/;\s*/)
        .filter((statement) => statement.trim() !== '' && statement.trim() !== 'END IF');
      for (const statement of statements) {
        const [, condition, message] = RAISE.exec(statement.trim()) ?? [];
        if (condition !== undefined) {
          const { rows } = await this.#one(connection, translated(`SELECT ${condition}`, parameters));
          if (rows[0]?.[0] === 'true') throw new BigQueryError(400, 'invalidQuery', `Query error: ${message} at [3:1]`);
        } else if (/^(BEGIN|COMMIT) TRANSACTION$/.test(statement.trim())) {
          open = statement.trim().startsWith('BEGIN');
          await connection.run(open ? 'BEGIN' : 'COMMIT');
        } else {
          result = await this.#one(connection, translated(statement, parameters));
        }
      }
      return result;
    } catch (error) {
      if (open) await connection.run('ROLLBACK').catch(() => undefined);
      throw refusal(error);
    } finally {
      connection.closeSync();
    }
  }

  /** Whether DuckDB would take it; nothing is done. */
  async explain(sql: string, parameters: readonly QueryParameter[]): Promise<void> {
    await this.run(`EXPLAIN ${sql}`, parameters);
  }

  async createTable(dataset: string, table: string, fields: readonly Field[]): Promise<void> {
    const columns = fields.map(
      ({ name, type, mode }) => `"${name}" ${duckType(type)}${mode === 'REQUIRED' ? ' NOT NULL' : ''}`,
    );
    await this.run(
      `CREATE SCHEMA IF NOT EXISTS "${dataset}"; CREATE TABLE "${dataset}"."${table}" (${columns.join(', ')})`,
    );
  }

  close(): void {
    this.#instance.closeSync();
  }

  async #one(connection: DuckDBConnection, sql: string): Promise<ResultSet> {
    const reader = await connection.runAndReadAll(sql);
    const fields = reader.columnNames().map((name, n) => {
      const type = String(reader.columnType(n));
      return { name, type: BACK[type] ?? type };
    });
    return { fields, rows: reader.getRows().map((row) => row.map(text)) };
  }
}

/** As the API sends values: text, timestamps in microseconds. */
function text(value: unknown): string | null {
  if (value === null) return null;
  if (typeof value === 'object' && 'micros' in value) return String(value.micros);
  return String(value);
}

function refusal(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof BigQueryError) return error;
  if (/conflict/i.test(error.message)) {
    const words = 'Transaction is aborted due to concurrent update against table';
    return new BigQueryError(400, 'invalidQuery', `${words} (in the double: ${error.message})`);
  }
  const [, missing] = /Table with name (\S+) does not exist/.exec(error.message) ?? [];
  if (missing !== undefined) return new BigQueryError(404, 'notFound', `Not found: Table ${missing}`);
  return new BigQueryError(400, 'invalidQuery', error.message);
}

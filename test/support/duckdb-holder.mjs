// Keeps a DuckDB file open, as an analyst's shell does: `node duckdb-holder.mjs FILE READ_ONLY|READ_WRITE`. Says `open`
// once it has it, and lets go when its input ends.
import { DuckDBInstance } from '@duckdb/node-api';

const [, , file, mode] = process.argv;
const instance = await DuckDBInstance.create(file, { access_mode: mode });
const connection = await instance.connect();
await connection.run('SELECT 1');
process.stdout.write('open\n');
process.stdin.on('end', () => {
  connection.closeSync();
  instance.closeSync();
});
process.stdin.resume();

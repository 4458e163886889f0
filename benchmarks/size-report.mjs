/**
 * Prints lines per folder, the median file and the five largest, and fails on a TypeScript file over the limit.
 * Run: npm run size
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, sep } from 'node:path';

/** Lines a file may have. Over 250 is a reason to split it, this is where a machine says so. */
const MAX_LINES = 400;

/** Tables of data, whose length is that of the thing they list. */
const DATA_TABLES = new Set(['pipelines/samplers/catalogue.ts']);

const SHIPPED = ['server', 'routes', 'openapi', 'pipelines', 'lora', 'networks', 'images'];
const BESIDE = ['benchmarks', 'tests', '.ci'];

const root = dirname(import.meta.dirname);

function countLines(folder) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => posix.join(folder, name.split(sep).join('/')))
    .filter((file) => file.endsWith('.ts'))
    .map((file) => ({
      file,
      lines: readFileSync(join(root, file), 'utf8').split('\n').length - 1,
    }));
}

function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function printRow(name, files) {
  const lines = files.map((file) => file.lines);
  const total = lines.reduce((sum, n) => sum + n, 0);
  const cells = [files.length, total, median(lines), Math.max(0, ...lines)];
  console.log(name.padEnd(12) + cells.map((cell) => String(cell).padStart(8)).join(''));
}

console.log(
  `${'folder'.padEnd(12)}${['files', 'lines', 'median', 'largest'].map((c) => c.padStart(8)).join('')}`,
);
const shipped = SHIPPED.map((folder) => [folder, countLines(folder)]);
for (const [folder, files] of shipped) printRow(folder, files);
const product = shipped.flatMap(([, files]) => files);
printRow('product', product);
const beside = BESIDE.map((folder) => [folder, countLines(folder)]);
for (const [folder, files] of beside) printRow(folder, files);

console.log('\nlargest:');
for (const { file, lines } of product.toSorted((a, b) => b.lines - a.lines).slice(0, 5)) {
  console.log(`${String(lines).padStart(8)}  ${file}`);
}

const tooLong = [...product, ...beside.flatMap(([, files]) => files)].filter(
  ({ file, lines }) => lines > MAX_LINES && !DATA_TABLES.has(file),
);
for (const { file, lines } of tooLong) {
  console.error(
    `${file} has ${lines} lines; at most ${MAX_LINES}, unless it is listed as a data table`,
  );
}
if (product.length === 0) console.error('no files found');
process.exitCode = tooLong.length > 0 || product.length === 0 ? 1 : 0;

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DECODE_LIMITS } from '../images/decode.ts';
import { MAX_LORA_BYTES } from '../lora/file.ts';
import { listOperations } from '../openapi/operations.ts';
import * as bounds from '../openapi/schemas/bounds.ts';
import { RULES } from '../routes/unsupported.ts';
import { FLAGS } from '../server/flags.ts';
import * as limits from '../server/limits.ts';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

/** The rows of the table under a heading, as cells; without its head. */
function readTable(heading: string): string[][] {
  const section = readme.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  return section
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.split(/(?<!\\)\|/).slice(1, -1))
    .map((cells) => cells.map((cell) => cell.trim().replaceAll('\\|', '|')))
    .slice(1);
}

describe('the README', () => {
  it('lists every flag, in the words of --help', () => {
    const flags = FLAGS.map((flag) => [
      `\`--${flag.name}${'value' in flag ? ` ${flag.value}` : ''}\``,
      flag.describe,
    ]);
    expect(readTable('Flags')).toEqual(flags);
  });

  it('lists the limits that the server has', () => {
    expect(readTable('Limits')).toEqual([
      ['width, height', `${bounds.MIN_SIDE} to ${bounds.MAX_SIDE} pixels`],
      ['width x height x batch_size', `${limits.MAX_BATCH_PIXELS} pixels`],
      ['width x height x batch_size x n_iter', `${limits.MAX_REQUEST_PIXELS} pixels`],
      ['steps', `${bounds.MAX_STEPS}`],
      ['batch_size', `${bounds.MAX_BATCH_SIZE}`],
      ['n_iter', `${bounds.MAX_N_ITER}`],
      ['cfg_scale', `${bounds.MAX_CFG_SCALE}`],
      ['prompt, negative_prompt', `${bounds.MAX_PROMPT_CHARS} characters`],
      ['styles', `${bounds.MAX_STYLES}`],
      ['body with pictures', `${limits.MAX_IMAGE_BODY_BYTES} bytes`],
      ['other bodies', `${limits.MAX_BODY_BYTES} bytes`],
      ['LoRA file sent in', `${MAX_LORA_BYTES} bytes`],
      ['picture sent in', `${DECODE_LIMITS.maxPixels} pixels`],
      ['waiting jobs', `${limits.DEFAULT_QUEUE_SIZE}, \`--queue-size\``],
    ]);
  });

  it('lists every endpoint', () => {
    const listed = readTable('Endpoints').flatMap(
      ([, cell]) => cell?.match(/[A-Z]+ \/[^`]*/g) ?? [],
    );
    const operations = listOperations(true);
    expect(listed.sort()).toEqual(
      operations.map(({ method, path }) => `${method.toUpperCase()} ${path}`).sort(),
    );
  });

  it('tells what is accepted elsewhere and not possible here, as the code decides it', () => {
    const rows = new Map(
      readTable('What is not possible').map(([field, answer]) => [field, answer]),
    );
    const fields = RULES.map(({ sentence }) => `\`${sentence.split(':')[0]}\``);
    for (const [i, { sentence, isHarmless }] of RULES.entries()) {
      const answer = rows.get(fields[i]);
      expect(answer, sentence).toMatch(isHarmless === true ? /^200/ : /^422/);
    }
    // Rows in code marks alone are fields; a field that works by now has no row any more.
    const listed = [...rows.keys()].filter((cell) => /^`\w+`$/.test(cell ?? ''));
    expect(listed.sort()).toEqual(fields.sort());
  });
});

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CheckpointError } from '../../networks/checkpoint/errors.ts';
import { readHeader } from '../../networks/checkpoint/safetensors.ts';
import { digestOf, HONEST, MUTATIONS, mutatedFiles } from './safetensors-corpus.ts';

const MIB = 1024 * 1024;
const VERDICTS = path.resolve('tests/fixtures/checkpoint/verdicts.json');

let dir: string;
let files: Buffer[];
/** The code of each file's error, or null where it was accepted. */
const outcomes: (string | null)[] = [];
const crashes: unknown[] = [];
/** Processor time of the slowest file: the clock would count other programs, too. */
let slowestMs = 0;
let grownBytes = 0;

async function outcomeOf(bytes: Uint8Array): Promise<string | null> {
  const file = path.join(dir, 'x.safetensors');
  fs.writeFileSync(file, bytes);
  try {
    await readHeader(file);
    return null;
  } catch (error) {
    if (!(error instanceof CheckpointError)) crashes.push(error);
    return error instanceof CheckpointError ? error.code : 'CRASH';
  }
}

beforeAll(async () => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fuzz-'));
  files = mutatedFiles();
  for (const bytes of files.slice(0, 200)) await outcomeOf(bytes);
  const before = process.memoryUsage.rss();
  for (const bytes of files) {
    const started = process.cpuUsage();
    outcomes.push(await outcomeOf(bytes));
    const { user, system } = process.cpuUsage(started);
    slowestMs = Math.max(slowestMs, (user + system) / 1000);
  }
  grownBytes = process.memoryUsage.rss() - before;
});
afterAll(() => {
  fs.rmSync(dir, { recursive: true });
});

describe(`${MUTATIONS} mutated headers of ${HONEST.length} honest files`, () => {
  it('the twelve honest files are accepted', async () => {
    expect(HONEST).toHaveLength(12);
    for (const bytes of HONEST) expect(await outcomeOf(bytes)).toBeNull();
  });

  it('none crashes the reader: each is accepted or refused with a CheckpointError', () => {
    expect(outcomes).toHaveLength(MUTATIONS);
    expect(crashes).toEqual([]);
  });

  it('none takes a second, and memory grows by less than 64 MiB', () => {
    expect(slowestMs).toBeLessThan(1000);
    expect(grownBytes).toBeLessThan(64 * MIB);
  });

  it('the mutations reach most checks of the reader', () => {
    expect(new Set(outcomes).size).toBeGreaterThan(30);
  });
});

describe('against the reference library', () => {
  const recorded = JSON.parse(fs.readFileSync(VERDICTS, 'utf8')) as {
    corpus: string;
    files: number;
    bits: string;
  };
  const bits = Buffer.from(recorded.bits, 'base64');
  const accepted = (i: number): boolean => (((bits[i >> 3] ?? 0) >> (i & 7)) & 1) === 1;

  /** What we refuse on purpose where the crate does not, and why. */
  const STRICTER: Record<string, string> = {
    DUPLICATE_NAME: 'the crate keeps the last of two; which one another reader keeps is unknown',
    DUPLICATE_FIELD: 'the same for keys of __metadata__',
    EMPTY_NAME: 'no module has a parameter without a name',
    HEADER_NOT_OBJECT: 'the format says the first byte is "{"; the crate lets white space pass',
  };

  it('the verdicts were recorded for these very files', () => {
    // After a change of the corpus or of fast-check: record again, see verdicts.py.
    expect(digestOf(files)).toBe(recorded.corpus);
    expect(recorded.files).toBe(MUTATIONS);
  });

  it('nothing is accepted that the reference refuses', () => {
    const wrong = outcomes.flatMap((code, i) => (code === null && !accepted(i) ? [i] : []));
    expect(wrong).toEqual([]);
  });

  it('nothing is refused that the reference accepts, but for four stated reasons', () => {
    const refused = outcomes.filter((code, i) => code !== null && accepted(i));
    expect(refused.filter((code) => STRICTER[code ?? ''] === undefined)).toEqual([]);
    // Duplicates are the rule; the others are a matter of a few files.
    const others = refused.filter((code) => !code?.startsWith('DUPLICATE_'));
    expect(MUTATIONS - others.length).toBeGreaterThanOrEqual(9_990);
    expect(refused.length).toBeLessThan(40);
  });

  it('the sample can tell: the reference accepts hundreds and refuses thousands', () => {
    const sum = outcomes.reduce((count, _, i) => count + Number(accepted(i)), 0);
    expect(sum).toBeGreaterThan(300);
    expect(sum).toBeLessThan(MUTATIONS - 5000);
  });
});

/** PyTorch's times for the same checkpoint, under our labels. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { decodeLabel, LOAD_LABEL, pictureLabel, TEXT_LABEL, unetLabel } from './labels.ts';
import type { Subject } from './subject.ts';
import type { Measured } from './timing.ts';

/** What `peers/torch_peer.py` prints. */
interface PeerReport {
  loadSeconds: Record<string, number>;
  peakRssBytes: Record<string, number>;
  textEncode?: PeerTimes;
  unet?: (PeerTimes & { batch: number; width: number })[];
  vaeDecode?: PeerTimes & { width: number };
}
interface PeerTimes {
  first: number;
  runs: number[];
}

/** The script is not built: it lies with the sources, beside this file or above `dist`. */
function findScript(): string {
  const here = import.meta.dirname;
  const root = path.extname(fileURLToPath(import.meta.url)) === '.ts' ? '..' : '../..';
  return path.join(here, root, 'benchmarks', 'peers', 'torch_peer.py');
}

/**
 * Runs the peer once.
 *
 * @param python  interpreter that has torch, diffusers and transformers
 * @throws Error when the script fails, with what it printed
 */
export async function runPeer(options: {
  python: string;
  subject: Subject;
  size: number;
  vaeSize: number;
  batches: number[];
  runs: number;
}): Promise<Measured> {
  process.stderr.write('peer ...\n');
  const { subject } = options;
  const numbers = {
    size: options.size,
    'vae-size': options.vaeSize,
    threads: subject.threads,
    repeat: options.runs,
  };
  const flags = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  const { stdout } = await promisify(execFile)(options.python, [
    findScript(),
    subject.file,
    ...flags,
    '--batches',
    ...options.batches.map(String),
  ]);
  const report: PeerReport = JSON.parse(stdout);
  const load = Object.values(report.loadSeconds).reduce((a, b) => a + b, 0);
  const timing = (label: string, { first, runs }: PeerTimes) => ({ label, first, runs });
  const timings = [
    { label: LOAD_LABEL, first: null, runs: [load] },
    ...(report.textEncode ? [timing(TEXT_LABEL, report.textEncode)] : []),
    ...(report.unet ?? []).map((one) => timing(unetLabel(one.batch, one.width), one)),
    ...(report.vaeDecode ? [timing(decodeLabel(report.vaeDecode.width), report.vaeDecode)] : []),
  ];
  const { load: loaded = 0 } = report.peakRssBytes;
  const most = Math.max(...Object.values(report.peakRssBytes));
  return { timings, peaks: { [LOAD_LABEL]: loaded, [pictureLabel(options.size)]: most } };
}

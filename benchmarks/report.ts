/** Results as Markdown tables. */
import { LOAD_LABEL, unetLabel } from './labels.ts';
import type { CeilingRate } from './measures/ceiling.ts';
import { bestRates, type Results, secondsAtCeiling, totalFlops } from './results.ts';
import { median, type Timing } from './timing.ts';

const GB = 1e9;

/** Three significant digits. */
function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function table(head: string[], rows: string[][]): string {
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

function seconds({ first, runs }: Timing): string {
  const raw = runs.map(digits).join(' ');
  return first === null ? raw : `(${digits(first)}) ${raw}`;
}

function timeTable({ ours, peer, flops, ceiling }: Results): string {
  const head = ['', 's', '(first) and all runs', 'TFLOP', 'GFLOP/s', 'of the ceiling'];
  const rows = ours.timings.map((timing) => {
    const s = median(timing.runs);
    const work = flops[timing.label];
    const other = peer?.timings.find(({ label }) => label === timing.label);
    return [
      timing.label,
      digits(s),
      seconds(timing),
      ...(work
        ? [
            digits(totalFlops(work) / 1e12),
            digits(totalFlops(work) / s / 1e9),
            ceiling ? `${((100 * secondsAtCeiling(work, ceiling)) / s).toFixed(0)} %` : '',
          ]
        : ['', '', '']),
      ...(peer
        ? other
          ? [digits(median(other.runs)), seconds(other), `${digits(median(other.runs) / s)}x`]
          : ['', '', '']
        : []),
    ];
  });
  return table(peer ? [...head, 'PyTorch s', 'its runs', 'PyTorch / ours'] : head, rows);
}

function memoryTable({ ours, peer }: Results): string {
  const rows = Object.entries(ours.peaks).map(([label, bytes]) => {
    const other = peer?.peaks[label];
    return [
      label,
      (bytes / GB).toFixed(2),
      ...(peer ? [other ? (other / GB).toFixed(2) : ''] : []),
    ];
  });
  return table(['peak resident memory', 'GB', ...(peer ? ['PyTorch GB'] : [])], rows);
}

function loraTable({ ours }: Results): string[] {
  const medians = new Map(ours.timings.map(({ label, runs }) => [label, median(runs)]));
  const rows = [...medians].flatMap(([label, s]) => {
    const [base, lora] = label.split(', LoRA of ');
    const none = medians.get(base as string);
    return lora && none ? [[`${lora}, all attention layers`, `${(s / none).toFixed(3)}x`]] : [];
  });
  return rows.length > 0 ? [table(['LoRA', 'time / without'], rows)] : [];
}

function ceilingLines({ ceiling, flops }: Results): string[] {
  if (!ceiling) return [];
  const rates = bestRates(ceiling);
  const list = (name: string, best: number, all: CeilingRate[]) =>
    `${name} ${digits(best)} GFLOP/s (${all.map((one) => `${one.shape}: ${digits(one.gflops)}`).join('; ')})`;
  const work = Object.entries(flops)
    .filter(([label]) => label.startsWith(unetLabel(1, 0).split(' ')[0] as string))
    .map(
      ([label, { conv, gemm, attention }]) =>
        `${label}: ${digits(conv / 1e12)} TFLOP in Conv, ${digits(gemm / 1e12)} in Gemm, ${digits(attention / 1e12)} in attention`,
    );
  return [
    [
      'Ceiling, the fastest run of single nodes:',
      list('- Conv 3x3', rates.conv, ceiling.conv),
      list('- Gemm', rates.gemm, ceiling.gemm),
    ].join('\n'),
    work.join('\n'),
  ];
}

function loadLine({ ours, checkpoint }: Results): string[] {
  const load = ours.timings.find(({ label }) => label === LOAD_LABEL);
  if (!load) return [];
  const perGb = median(load.runs) / (checkpoint.bytes / GB);
  return [`Cold load: ${digits(median(load.runs))} s, ${digits(perGb)} s per GB of checkpoint.`];
}

/** Returns the whole report. */
export function writeReport(results: Results): string {
  const { machine, checkpoint } = results;
  return [
    `${checkpoint.name}, ${(checkpoint.bytes / GB).toFixed(2)} GB; ${machine.cpu}, ${machine.threads} threads, ` +
      `${(machine.memoryBytes / GB).toFixed(0)} GB; Node ${machine.node}, onnxruntime ${machine.onnxruntime}`,
    ...ceilingLines(results),
    timeTable(results),
    ...loraTable(results),
    ...loadLine(results),
    memoryTable(results),
  ].join('\n\n');
}

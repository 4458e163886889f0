/** The settings that command line and environment come to: one frozen record, made once. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import type { FlagName } from './flags.ts';
import { DEFAULT_QUEUE_SIZE } from './limits.ts';
import { dropIgnored, readEnvironment, readFlags, StartError } from './read-flags.ts';
import { countThreads } from './threads.ts';

const MAX_PORT = 65_535;
/** Jobs that may be asked to wait; each holds its request, up to 64 MB. */
const MAX_QUEUE_SIZE = 10_000;
const MAX_THREADS = 1_024;
const RawSettings = z.object({
  port: z.coerce.number().int().min(0).max(MAX_PORT).default(7_860),
  listen: z.boolean().default(false),
  'server-name': z.string().min(1).optional(),
  'api-auth': z.string().default(''),
  'cors-allow-origins': z.string().default(''),
  'cors-allow-origins-regex': z.string().optional(),
  'data-dir': z.string().min(1).default('.'),
  'models-dir': z.string().min(1).optional(),
  'ckpt-dir': z.string().min(1).optional(),
  'lora-dir': z.string().min(1).optional(),
  'lora-upload': z.boolean().default(false),
  'vae-dir': z.string().min(1).optional(),
  'esrgan-models-path': z.string().min(1).optional(),
  'realesrgan-models-path': z.string().min(1).optional(),
  'embeddings-dir': z.string().min(1).optional(),
  'styles-file': z.string().min(1).optional(),
  ckpt: z.string().min(1).optional(),
  device: z.enum(['cpu', 'cuda', 'webgpu', 'dml', 'coreml']).default('cpu'),
  threads: z.coerce.number().int().min(1).max(MAX_THREADS).optional(),
  medvram: z.boolean().default(false),
  lowvram: z.boolean().default(false),
  'queue-size': z.coerce.number().int().min(1).max(MAX_QUEUE_SIZE).default(DEFAULT_QUEUE_SIZE),
  'skip-load-model-at-start': z.boolean().default(false),
  'api-enable-requests': z.boolean().default(false),
  'queue-file': z.string().min(1).optional(),
  'allow-local-callbacks': z.boolean().default(false),
  'finish-abandoned-jobs': z.boolean().default(false),
  'api-log': z.boolean().default(false),
  'api-server-stop': z.boolean().default(false),
  'log-level': z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .default('info'),
} satisfies Record<FlagName, z.ZodType>);

/** What the server was started with. All paths are absolute. */
export interface Settings {
  readonly version: string;
  readonly host: string;
  readonly port: number;
  /** Empty when anyone may call. */
  readonly users: readonly { name: string; password: string }[];
  readonly corsOrigins: readonly string[];
  /** Matches a whole origin. */
  readonly corsOriginsRegex: RegExp | null;
  readonly dataDir: string;
  readonly modelsDir: string;
  readonly checkpointDirs: readonly string[];
  readonly loraDir: string;
  /** Whether clients may send in and remove LoRA files. */
  readonly loraUpload: boolean;
  readonly vaeDirs: readonly string[];
  readonly esrganDir: string;
  readonly realesrganDir: string;
  readonly captionerDir: string;
  readonly embeddingsDir: string;
  readonly outputDir: string;
  readonly stylesFile: string;
  readonly configFile: string;
  /** Folder with the built-in checkpoint, for users who have none. */
  readonly demoDir: string;
  /** Checkpoint to start with: any id; null takes the one in config.json. */
  readonly checkpoint: string | null;
  /** Whether the first job loads it, not the start. */
  readonly skipLoadModel: boolean;
  readonly device: 'cpu' | 'cuda' | 'webgpu' | 'dml' | 'coreml';
  readonly threads: number;
  readonly memoryMode: 'normal' | 'medvram' | 'lowvram';
  readonly queueSize: number;
  /** Where waiting jobs are kept; null for nowhere. */
  readonly queueFile: string | null;
  readonly allowLocalCallbacks: boolean;
  readonly finishAbandonedJobs: boolean;
  readonly apiLog: boolean;
  /** Whether pictures may be fetched from the addresses that requests name. */
  readonly apiEnableRequests: boolean;
  readonly apiServerStop: boolean;
  readonly logLevel: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';
  /** A1111's flags that were given and do nothing here. */
  readonly ignoredFlags: readonly string[];
}

/**
 * Reads the settings: a flag wins over its `SDSERVE_` variable, that over the default.
 *
 * @param args  without node and script
 * @param env   usually `process.env`
 * @throws StartError: exit code 2 for a bad flag or value, 0 after `--help` and `--version`
 */
export function readSettings(
  args: readonly string[] = process.argv.slice(2),
  env: Readonly<Record<string, string | undefined>> = process.env,
): Settings {
  const packageRoot = findPackageRoot();
  const version = readVersion(packageRoot);
  const { kept, ignored } = dropIgnored(args);
  const parsed = RawSettings.safeParse({ ...readEnvironment(env), ...readFlags(kept, version) });
  if (!parsed.success) throw new StartError(describeIssue(parsed.error.issues[0]));
  const raw = parsed.data;
  const dataDir = resolve(raw['data-dir']);
  const modelsDir = resolve(raw['models-dir'] ?? join(dataDir, 'models'));
  const given = [raw['data-dir'], raw['models-dir'], raw['ckpt-dir'], raw['lora-dir']];
  const upscalers = [raw['esrgan-models-path'], raw['realesrgan-models-path']];
  for (const folder of [...given, ...upscalers, raw['vae-dir'], raw['embeddings-dir']])
    checkFolder(folder);
  return Object.freeze<Settings>({
    version,
    host: raw['server-name'] ?? (raw.listen ? '0.0.0.0' : '127.0.0.1'),
    port: raw.port,
    users: readUsers(raw['api-auth']),
    corsOrigins: splitList(raw['cors-allow-origins']),
    corsOriginsRegex: readRegex(raw['cors-allow-origins-regex']),
    dataDir,
    modelsDir,
    checkpointDirs: [
      join(modelsDir, 'Stable-diffusion'),
      ...resolveGiven(raw['ckpt-dir']),
      ...folderOfFile(raw.ckpt),
    ],
    loraDir: resolve(raw['lora-dir'] ?? join(modelsDir, 'Lora')),
    loraUpload: raw['lora-upload'],
    vaeDirs: [join(modelsDir, 'VAE'), ...resolveGiven(raw['vae-dir'])],
    esrganDir: resolve(raw['esrgan-models-path'] ?? join(modelsDir, 'ESRGAN')),
    realesrganDir: resolve(raw['realesrgan-models-path'] ?? join(modelsDir, 'RealESRGAN')),
    captionerDir: join(modelsDir, 'BLIP'),
    embeddingsDir: resolve(raw['embeddings-dir'] ?? join(dataDir, 'embeddings')),
    outputDir: join(dataDir, 'outputs'),
    stylesFile: resolve(raw['styles-file'] ?? join(dataDir, 'styles.csv')),
    configFile: join(dataDir, 'config.json'),
    demoDir: join(packageRoot, 'demo', 'models'),
    checkpoint: raw.ckpt ?? null,
    skipLoadModel: raw['skip-load-model-at-start'],
    device: raw.device,
    threads: raw.threads ?? countThreads(),
    memoryMode: raw.lowvram ? 'lowvram' : raw.medvram ? 'medvram' : 'normal',
    queueSize: raw['queue-size'],
    queueFile: raw['queue-file'] === undefined ? null : resolve(raw['queue-file']),
    allowLocalCallbacks: raw['allow-local-callbacks'],
    finishAbandonedJobs: raw['finish-abandoned-jobs'],
    apiLog: raw['api-log'],
    apiEnableRequests: raw['api-enable-requests'],
    apiServerStop: raw['api-server-stop'],
    logLevel: raw['log-level'],
    ignoredFlags: ignored,
  });
}

function describeIssue(issue: z.core.$ZodIssue | undefined): string {
  return `--${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'} (see --help)`;
}

function readUsers(list: string): { name: string; password: string }[] {
  return splitList(list).map((entry) => {
    const colon = entry.indexOf(':');
    if (colon < 1 || colon === entry.length - 1) {
      // The entry may be a password; it is not repeated.
      throw new StartError('--api-auth: expected user:password, or several with commas between');
    }
    return { name: entry.slice(0, colon), password: entry.slice(colon + 1) };
  });
}

function readRegex(pattern: string | undefined): RegExp | null {
  if (pattern === undefined) return null;
  try {
    return new RegExp(`^(?:${pattern})$`);
  } catch {
    throw new StartError(`--cors-allow-origins-regex: ${pattern} is not a regular expression`);
  }
}

function checkFolder(folder: string | undefined): void {
  if (folder === undefined || statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return;
  throw new StartError(`${resolve(folder)} is not a folder`);
}

function resolveGiven(path: string | undefined): string[] {
  return path === undefined ? [] : [resolve(path)];
}

/** `--ckpt` may be a path, as in A1111; then its folder is looked through, too. */
function folderOfFile(path: string | undefined): string[] {
  if (path === undefined || !existsSync(path) || !statSync(path).isFile()) return [];
  return [dirname(resolve(path))];
}

function splitList(list: string): string[] {
  return list
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** The folder of package.json: one up from the sources, two up from the compiled files. */
function findPackageRoot(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json')) && dirname(folder) !== folder) {
    folder = dirname(folder);
  }
  return folder;
}

function readVersion(packageRoot: string): string {
  const file = readFileSync(join(packageRoot, 'package.json'), 'utf8');
  return z.object({ version: z.string() }).parse(JSON.parse(file)).version;
}

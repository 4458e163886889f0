/** What a file's metadata says of its training: words, tags, settings, licence. */
import { decodeMetadata } from '../metadata.ts';

/** Longest text that is passed on, in UTF-16 units. */
const MAX_TEXT_LENGTH = 2_000;
/** Most tags and words that are listed; the list of all is in the file's `metadata`. */
const MAX_TAGS = 50;
const MAX_WORDS = 20;
/** A tag on at least this share of the pictures is what the training was about. */
const COMMON_SHARE = 0.9;

/** A word that a prompt should have, and where that is said. */
export interface TriggerWord {
  word: string;
  source: string;
}

/** What the metadata says; null and empty: it does not say. */
export interface TrainingFacts {
  trigger_words: TriggerWord[];
  /** Most frequent first. */
  tags: { tag: string; count: number }[];
  /** What was set or counted, under our names. */
  training: Record<string, string>;
  licence: string | null;
  /** As the trainer wrote it. */
  stated_base: string | null;
}

/** Our name → the keys that trainers use for it, the first that is there counts. */
const TRAINING_KEYS: readonly [name: string, keys: readonly string[]][] = [
  ['title', ['modelspec.title', 'ss_output_name']],
  ['author', ['modelspec.author']],
  ['description', ['modelspec.description', 'ss_training_comment']],
  ['date', ['modelspec.date']],
  ['trainer', ['ss_network_module', 'software']],
  ['checkpoint', ['ss_sd_model_name']],
  ['pictures', ['ss_num_train_images']],
  ['regularisation pictures', ['ss_num_reg_images']],
  ['resolution', ['ss_resolution', 'modelspec.resolution']],
  ['epochs', ['ss_num_epochs']],
  ['epoch', ['ss_epoch']],
  ['steps', ['ss_steps', 'ss_max_train_steps']],
  ['batch size', ['ss_total_batch_size', 'ss_batch_size_per_device']],
  ['learning rate', ['ss_learning_rate']],
  ['UNet learning rate', ['ss_unet_lr']],
  ['text encoder learning rate', ['ss_text_encoder_lr']],
  ['optimizer', ['ss_optimizer']],
  ['scheduler', ['ss_lr_scheduler']],
  ['network dim', ['ss_network_dim']],
  ['network alpha', ['ss_network_alpha']],
  ['clip skip', ['ss_clip_skip']],
  ['noise offset', ['ss_noise_offset']],
  ['min SNR gamma', ['ss_min_snr_gamma']],
  ['loss', ['ss_loss_type']],
];
const LICENCE_KEYS = ['modelspec.license', 'license', 'licence', 'ss_license'];
const BASE_KEYS = ['modelspec.architecture', 'ss_base_model_version', 'ss_sd_model_name'];

/** Reads the metadata. Texts are cut at 2,000 characters. */
export function readTraining(metadata: ReadonlyMap<string, string>): TrainingFacts {
  const counts = countTags(metadata);
  const tags = [...counts]
    .map(([tag, count]) => ({ tag, count }))
    .sort((a, b) => b.count - a.count || (a.tag < b.tag ? -1 : 1));
  const training = TRAINING_KEYS.flatMap(([name, keys]) => {
    const text = firstOf(metadata, keys);
    return text === null ? [] : [[name, text] as const];
  });
  return {
    trigger_words: findTriggerWords(metadata, tags),
    tags: tags.slice(0, MAX_TAGS),
    training: Object.fromEntries(training),
    licence: firstOf(metadata, LICENCE_KEYS),
    stated_base: firstOf(metadata, BASE_KEYS),
  };
}

function firstOf(metadata: ReadonlyMap<string, string>, keys: readonly string[]): string | null {
  for (const key of keys) {
    const text = metadata.get(key)?.trim() ?? '';
    if (text !== '' && text.toLowerCase() !== 'none') return text.slice(0, MAX_TEXT_LENGTH);
  }
  return null;
}

/** Adds kohya's counts of all folders: {"10_sks dog": {"sks dog": 12, …}, …}. */
function countTags(metadata: ReadonlyMap<string, string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const tags of Object.values(readTagFolders(metadata))) {
    if (typeof tags !== 'object' || tags === null) continue;
    for (const [tag, count] of Object.entries(tags)) {
      const name = tag.trim().slice(0, MAX_TEXT_LENGTH);
      if (name === '' || typeof count !== 'number' || !(count > 0)) continue;
      counts.set(name, (counts.get(name) ?? 0) + count);
    }
  }
  return counts;
}

function readTagFolders(metadata: ReadonlyMap<string, string>): Record<string, unknown> {
  const text = metadata.get('ss_tag_frequency');
  if (text === undefined) return {};
  const { folders } = decodeMetadata(new Map([['folders', text]]));
  return typeof folders === 'object' && folders !== null
    ? (folders as Record<string, unknown>)
    : {};
}

function findTriggerWords(
  metadata: ReadonlyMap<string, string>,
  tags: readonly { tag: string; count: number }[],
): TriggerWord[] {
  const words = new Map<string, string>();
  const add = (word: string, source: string) => {
    if (word !== '' && !words.has(word)) words.set(word, source);
  };
  const phrase = firstOf(metadata, ['modelspec.trigger_phrase', 'ss_trigger_word', 'trigger_word']);
  for (const word of phrase?.split(',') ?? []) add(word.trim(), 'stated by the trainer');
  const pictures = Number(metadata.get('ss_num_train_images') ?? 0);
  const folders = Object.keys(readTagFolders(metadata));
  // The count of pictures has the repeats in it; tags are counted once per picture.
  const counted = countPictures(metadata) ?? pictures;
  for (const { tag, count } of tags) {
    if (counted > 0 && count >= COMMON_SHARE * counted) {
      add(tag, `on ${count} of ${counted} training pictures`);
    }
  }
  for (const folder of folders) {
    // kohya names folders `repeats_concept`, and uses the name where a picture has no caption.
    const concept = /^\d+_(.+)$/.exec(folder)?.[1]?.trim() ?? '';
    add(concept.slice(0, MAX_TEXT_LENGTH), 'name of the training folder');
  }
  return [...words].slice(0, MAX_WORDS).map(([word, source]) => ({ word, source }));
}

/** Pictures in `ss_dataset_dirs`, without repeats; null when it does not say. */
function countPictures(metadata: ReadonlyMap<string, string>): number | null {
  const text = metadata.get('ss_dataset_dirs');
  if (text === undefined) return null;
  const { folders } = decodeMetadata(new Map([['folders', text]]));
  if (typeof folders !== 'object' || folders === null) return null;
  let sum = 0;
  for (const folder of Object.values(folders)) {
    const count: unknown = folder?.img_count;
    if (typeof count === 'number' && count > 0) sum += count;
  }
  return sum > 0 ? sum : null;
}

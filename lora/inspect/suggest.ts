/** Which weights to try: a rule from what a file changes, and what is known of SPO. */
import type { PartRow } from './strength.ts';

/** Least and greatest weight to try. */
export interface WeightRange {
  min: number;
  max: number;
}

/** Weights for txt2img and for img2img by how much is drawn anew. */
export interface SuggestedWeights {
  /** How they were found, in a sentence or two. */
  rule: string;
  txt2img: WeightRange;
  img2img: (WeightRange & {
    denoising_strength: number;
    /** `steps` to send so that 10 to 16 are executed, which is steps * denoising_strength. */
    steps: WeightRange;
  })[];
}

/** What the rule looks at. */
export interface SuggestionFacts {
  /** File name without extension. */
  name: string;
  base: string | null;
  /** Every rank that occurs. */
  ranks: readonly number[];
  parts: readonly PartRow[];
  averageNorm: number | null;
}

/** Norm of a module's change at which kohya's trainers cut it (`scale_weight_norms` 1). */
const STRONG_NORM = 1;
/** Weights outside these are seldom of use in txt2img, whatever the norm. */
const LEAST_MAX = 0.8;
const GREATEST_MAX = 2;
/** Greatest weight that is suggested for a pass of small steps. */
const GREATEST_WEIGHT = 8;
const DENOISING_STRENGTHS = [0.2, 0.25, 0.3, 0.35, 0.5, 0.75];
const EXECUTED_STEPS: WeightRange = { min: 10, max: 16 };

const SPO_NAME = /(^|[^a-z])spo([^a-z]|$)/i;

/**
 * Suggests weights.
 *
 * SPO's are those that its users found. Any other file: in txt2img up to the weight at which the
 * average module's change reaches norm 1; in img2img that divided by the denoising strength, because
 * the fewer and smaller steps of a pass add up to less (SPO's 1 to 1.6 become 3 to 8 at 0.2 to 0.35).
 */
export function suggestWeights(facts: SuggestionFacts): SuggestedWeights {
  if (isSpo(facts)) {
    return {
      rule: 'This is named like SPO and has its structure: a post-training of attention that takes high weights where steps are small. -1 to -0.5 make a picture simpler; Pony and Illustrious checkpoints take 1.6 to 4 in txt2img; above 2 other checkpoints turn sparkly and distorted there.',
      txt2img: { min: 1, max: 1.6 },
      img2img: byStrength((strength) =>
        strength <= 0.35 ? { min: 3, max: GREATEST_WEIGHT } : scale({ min: 1, max: 1.6 }, strength),
      ),
    };
  }
  const { averageNorm } = facts;
  const reach = averageNorm ? STRONG_NORM / averageNorm : 1;
  const max = round(Math.min(Math.max(reach, LEAST_MAX), GREATEST_MAX));
  const txt2img = { min: round(max / 2), max };
  const basis =
    averageNorm === null
      ? 'Its strength could not be measured: around 1, which trainers mean.'
      : `At weight 1 the average module changes its weight by a norm of ${averageNorm.toPrecision(2)}; the greatest weight is where that reaches ${STRONG_NORM}, but ${LEAST_MAX} to ${GREATEST_MAX}.`;
  return {
    rule: `${basis} For img2img that is divided by the denoising strength, up to ${GREATEST_WEIGHT}.`,
    txt2img,
    img2img: byStrength((strength) => scale(txt2img, strength)),
  };
}

/** SPO's published files: UNet attention alone, rank 64 for SDXL and 4 for SD 1.5, and the name. */
function isSpo({ name, base, ranks, parts }: SuggestionFacts): boolean {
  const rank = base === 'SDXL' ? 64 : 4;
  return (
    SPO_NAME.test(name) &&
    ranks.every((other) => other === rank) &&
    parts.every(({ layers }) => layers === 'self attention' || layers === 'cross attention')
  );
}

function byStrength(rangeOf: (strength: number) => WeightRange): SuggestedWeights['img2img'] {
  return DENOISING_STRENGTHS.map((strength) => ({
    denoising_strength: strength,
    ...rangeOf(strength),
    steps: {
      min: Math.ceil(EXECUTED_STEPS.min / strength),
      max: Math.floor(EXECUTED_STEPS.max / strength),
    },
  }));
}

function scale({ min, max }: WeightRange, strength: number): WeightRange {
  const at = (weight: number) => Math.min(round(weight / strength), GREATEST_WEIGHT);
  return { min: at(min), max: at(max) };
}

function round(weight: number): number {
  return Math.round(weight * 10) / 10;
}

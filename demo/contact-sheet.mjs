/**
 * Draws one picture, then passes over it again at several LoRA weights and denoising strengths, and
 * lays the results out as a grid: the comparison people make to find their weight.
 *
 *     node demo/contact-sheet.mjs http://127.0.0.1:7860 sheet.png ["a prompt"] [seed] [size]
 *
 * Needs a running server that has the LoRA `spo`.
 */
import sharp from 'sharp';

const WEIGHTS = [0, 1.5, 3, 5, 8];
const STRENGTHS = [0.2, 0.35, 0.5, 0.75];
/** As people run a gentle pass: about twelve to sixteen steps are left of these. */
const EXECUTED_STEPS = 14;
const CELL = 192;
const LABEL = 28;

const [
  url,
  out,
  prompt = 'a red boat on the left, calm sea, sunset, setting sun on the right',
  seed = '7',
  size = '512',
] = process.argv.slice(2);
if (!url || !out) {
  console.error('usage: node demo/contact-sheet.mjs <url> <out.png> [prompt] [seed] [size]');
  process.exit(2);
}

async function draw(route, body) {
  const answer = await fetch(new URL(`/sdapi/v1/${route}`, url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${route}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()).images[0];
}

function label(text, width = CELL, height = LABEL) {
  return Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">` +
      `<rect width="100%" height="100%" fill="#111"/><text x="50%" y="50%" fill="#eee" font-family="sans-serif" ` +
      `font-size="13" text-anchor="middle" dominant-baseline="central">${text}</text></svg>`,
  );
}

const common = {
  prompt,
  seed: Number(seed),
  width: Number(size),
  height: Number(size),
  cfg_scale: 5,
  sampler_name: 'Euler a',
};
const start = await draw('txt2img', { ...common, steps: 20 });
const side = 110;
const parts = [{ input: label('denoise \\ weight', side), left: 0, top: 0 }];
for (const [x, weight] of WEIGHTS.entries())
  parts.push({ input: label(`weight ${weight}`), left: side + x * CELL, top: 0 });
for (const [y, strength] of STRENGTHS.entries()) {
  parts.push({ input: label(String(strength), side, CELL), left: 0, top: LABEL + y * CELL });
  for (const [x, weight] of WEIGHTS.entries()) {
    const image = await draw('img2img', {
      ...common,
      prompt: weight === 0 ? prompt : `${prompt} <lora:spo:${weight}>`,
      init_images: [start],
      denoising_strength: strength,
      steps: Math.min(150, Math.round(EXECUTED_STEPS / strength)),
    });
    const input = await sharp(Buffer.from(image, 'base64')).resize(CELL, CELL).toBuffer();
    parts.push({ input, left: side + x * CELL, top: LABEL + y * CELL });
  }
}
const whole = { width: side + WEIGHTS.length * CELL, height: LABEL + STRENGTHS.length * CELL };
await sharp({ create: { ...whole, channels: 3, background: '#111' } })
  .composite(parts)
  .png({ palette: true, colours: 128 })
  .toFile(out);

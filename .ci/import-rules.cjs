// The import directions of the house (CONTRIBUTING.md has the same table in words).
const only = (from, allowed) => ({
  name: `${from}-imports`,
  severity: 'error',
  from: { path: `^${from}/` },
  to: {
    path: '^(server|routes|openapi|pipelines|lora|networks|images|demo|benchmarks|tests)/',
    pathNot: [`^${from}/`, ...allowed],
  },
});

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    only('networks', []),
    only('images', []),
    only('openapi', []),
    only('lora', ['^networks/checkpoint/']),
    only('pipelines', ['^lora/', '^networks/', '^images/']),
    only('routes', [
      '^openapi/',
      '^images/',
      '^server/(engine/(supervisor|protocol)|jobs/(record|store|outgoing)|loras|lora-files|inspections|embeddings|upscalers|errors|limits|upscale-limits|queue|options|settings|context|metrics|output|styles|style-extract)\\.ts$',
      '^networks/(checkpoint|upscaler|captioner)/catalogue\\.ts$',
      '^lora/catalogue\\.ts$',
      // Plain data, arithmetic and text: names of samplers, the plan of steps, prompt syntax.
      '^pipelines/(samplers/catalogue|sampling/plan(-levels)?|prompt/comments|prompt/attention|hires/latent-modes|hires/plan|job)\\.ts$',
    ]),
    {
      name: 'server-imports',
      severity: 'error',
      from: { path: '^server/', pathNot: '^server/engine/process(/|\\.ts)' },
      to: {
        path: '^(pipelines|networks|lora|demo|benchmarks|tests)/',
        // Plain data, and the text of tags.
        pathNot: '/(catalogue|plan|job)\\.ts$|^lora/(syntax|tags|inspect/inspect)\\.ts$',
      },
    },
    {
      name: 'engine-process-is-headless',
      severity: 'error',
      from: { path: '^server/engine/process(/|\\.ts)' },
      to: { path: '^(routes|openapi)/|node_modules/express/' },
    },
    {
      name: 'nobody-imports-the-engine-process',
      severity: 'error',
      from: { pathNot: '^(server/engine/process|benchmarks|tests)' },
      to: { path: '^server/engine/process(/|\\.ts)' },
    },
    {
      name: 'onnxruntime-in-one-place',
      severity: 'error',
      from: { pathNot: '^(networks/session\\.ts|benchmarks/|tests/)' },
      to: { path: 'node_modules/onnxruntime-(node|common)/' },
    },
    {
      name: 'sharp-in-one-place',
      severity: 'error',
      from: { pathNot: '^(images|tests)/' },
      to: { path: 'node_modules/sharp/' },
    },
    {
      name: 'express-on-the-http-side',
      severity: 'error',
      from: { pathNot: '^(server|routes)/' },
      to: { path: 'node_modules/express/' },
    },
  ],
};

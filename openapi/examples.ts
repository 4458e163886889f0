/** Requests that run as they are, one per endpoint that takes a body or needs a query. */

/** A plain orange PNG of 64 x 64 pixels. */
const PICTURE =
  'iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAMAAACdt4HsAAAAA1BMVEXIUBSYp3MLAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAA' +
  'G0lEQVRYw+3BgQAAAADDoPlT3+AEVQEAAAB8AxBAAAEZszF2AAAAAElFTkSuQmCC';

const TXT2IMG = {
  prompt: 'a red boat on the left, calm sea, sunset',
  negative_prompt: 'fog',
  seed: 1,
  steps: 20,
  cfg_scale: 7,
  width: 256,
  height: 256,
  sampler_name: 'DPM++ 2M',
  scheduler: 'Karras',
};
const IMG2IMG = {
  init_images: [`data:image/png;base64,${PICTURE}`],
  prompt: 'a red boat, calm sea',
  denoising_strength: 0.6,
  seed: 1,
  steps: 10,
  width: 64,
  height: 64,
};
const UPSCALING = { upscaler_1: 'Lanczos', upscaling_resize: 2 };

/** Bodies, by method and path. */
export const BODY_EXAMPLES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'post /sdapi/v1/txt2img': TXT2IMG,
  'post /sdapi/v1/img2img': IMG2IMG,
  'post /sdapi/v1/sparkle': { image: PICTURE, strength: 0.3 },
  'post /sdapi/v1/extra-single-image': { image: PICTURE, ...UPSCALING },
  'post /sdapi/v1/extra-batch-images': {
    imageList: [{ data: PICTURE, name: 'boat.png' }],
    ...UPSCALING,
  },
  'post /sdapi/v1/png-info': { image: PICTURE },
  'post /sdapi/v1/interrogate': { image: PICTURE, model: 'clip' },
  'post /sdapi/v1/options': { CLIP_stop_at_last_layers: 1, samples_format: 'png' },
  'post /sdapi/v1/create/embedding': { name: 'boat', num_vectors_per_token: 4 },
  'post /sdapi/v1/create/hypernetwork': { name: 'boat' },
  'post /sdapi/v1/train/embedding': { embedding_name: 'boat' },
  'post /sdapi/v1/train/hypernetwork': { hypernetwork_name: 'boat' },
  'post /internal/progress': { id_task: 'task(boat)', live_preview: false },
  'post /controlnet/detect': { controlnet_module: 'none', controlnet_input_images: [PICTURE] },
  'post /sdserve/v1/jobs': { kind: 'txt2img', request: TXT2IMG, name: 'boat' },
  'post /agent-scheduler/v1/queue/txt2img': TXT2IMG,
  'post /agent-scheduler/v1/queue/img2img': IMG2IMG,
  'post /agent-scheduler/v1/import': { content: '[]' },
  'put /agent-scheduler/v1/task/{id}': { name: 'boat' },
};

/** Values of query fields, by method and path. */
export const QUERY_EXAMPLES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'get /sdapi/v1/steps-plan': { steps: 20, denoising_strength: 0.6, sampler: 'Euler a' },
  'get /sdapi/v1/progress': { skip_current_image: true },
};

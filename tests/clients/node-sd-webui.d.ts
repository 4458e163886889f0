/** The package's typings cannot be reached through its `exports`; this is what the tests use. */
declare module 'node-sd-webui' {
  interface Drawing {
    prompt: string;
    negativePrompt?: string;
    seed?: number;
    steps?: number;
    width?: number;
    height?: number;
    batchSize?: number;
    cfgScale?: number;
    samplingMethod?: string;
    script?: { name: string; args?: unknown[] };
  }
  interface Client {
    txt2img(options: Drawing): Promise<{ images: string[]; info: string }>;
    img2img(options: Drawing & { imageData: string[] }): Promise<{ images: string[] }>;
    pngInfo(options: { imageData: string }): Promise<Record<string, unknown>>;
  }
  export default function sdwebui(props?: { apiUrl?: string }): Client;
}

/** Endpoints that draw pictures, and those that tell how. */
import { type Operation, QUEUED } from './operation.ts';
import {
  ExtrasBatchImagesRequest,
  ExtrasBatchImagesResponse,
  ExtrasSingleImageRequest,
  ExtrasSingleImageResponse,
  PngInfoRequest,
  PngInfoResponse,
} from './schemas/extras.ts';
import { Img2ImgRequest } from './schemas/img2img.ts';
import { SparkleRequest, SparkleResponse } from './schemas/sparkle.ts';
import { StepsPlanQuery, StepsPlanResponse } from './schemas/steps-plan.ts';
import { ImageToImageResponse, TextToImageResponse, Txt2ImgRequest } from './schemas/txt2img.ts';

export const GENERATION_OPERATIONS: readonly Operation[] = [
  {
    method: 'post',
    path: '/sdapi/v1/txt2img',
    id: 'text2imgapi_sdapi_v1_txt2img_post',
    tag: 'Generation',
    summary: 'Draws pictures from a text.',
    body: Txt2ImgRequest,
    formFiles: [],
    answer: TextToImageResponse,
    statuses: [400, 404, 409, 411, 413, 415, ...QUEUED],
  },
  {
    method: 'post',
    path: '/sdapi/v1/extra-single-image',
    id: 'extras_single_image_api_sdapi_v1_extra_single_image_post',
    tag: 'Generation',
    summary: 'Enlarges a picture.',
    body: ExtrasSingleImageRequest,
    answer: ExtrasSingleImageResponse,
    statuses: [404, 413, 415, ...QUEUED],
  },
  {
    method: 'post',
    path: '/sdapi/v1/extra-batch-images',
    id: 'extras_batch_images_api_sdapi_v1_extra_batch_images_post',
    tag: 'Generation',
    summary: 'Enlarges several pictures.',
    body: ExtrasBatchImagesRequest,
    answer: ExtrasBatchImagesResponse,
    statuses: [404, 413, 415, ...QUEUED],
  },
  {
    method: 'post',
    path: '/sdapi/v1/png-info',
    id: 'pnginfoapi_sdapi_v1_png_info_post',
    tag: 'Generation',
    summary: 'Reads how a picture was made.',
    body: PngInfoRequest,
    answer: PngInfoResponse,
    statuses: [413, 415],
  },
  {
    method: 'post',
    path: '/sdapi/v1/img2img',
    id: 'img2imgapi_sdapi_v1_img2img_post',
    tag: 'Generation',
    summary: 'Redraws pictures, whole or where a mask is white.',
    body: Img2ImgRequest,
    formFiles: ['init_images', 'mask'],
    answer: ImageToImageResponse,
    statuses: [400, 404, 409, 411, 413, 415, ...QUEUED],
  },
  {
    method: 'post',
    path: '/sdapi/v1/sparkle',
    id: 'sparkle_sdapi_v1_sparkle_post',
    tag: 'Generation',
    summary: 'Polishes a finished picture with a preference LoRA in the last small steps.',
    body: SparkleRequest,
    formFiles: ['image', 'mask'],
    answer: SparkleResponse,
    statuses: [400, 404, 409, 411, 413, 415, ...QUEUED],
  },
  {
    method: 'get',
    path: '/sdapi/v1/steps-plan',
    id: 'steps_plan_sdapi_v1_steps_plan_get',
    tag: 'Generation',
    summary: 'Tells how many steps a request will run, or which `steps` runs as many as wanted.',
    query: StepsPlanQuery,
    answer: StepsPlanResponse,
    statuses: [400],
  },
];

/** The schemas that have a name in the document: A1111's own where it has the schema. */
import { SCHEDULER_ANSWERS, SCHEDULER_REQUESTS } from './schemas/agent-scheduler.ts';
import {
  EmbeddingItem,
  EmbeddingsResponse,
  LoraItem,
  PromptStyleItem,
  SamplerItem,
  SchedulerItem,
  ScriptArg,
  ScriptInfo,
  ScriptsList,
  SDModelItem,
  SDVaeItem,
} from './schemas/catalogues.ts';
import { ApiError, HTTPValidationError, ValidationError } from './schemas/errors.ts';
import { NetworkCard, NetworkMetadata } from './schemas/extra-networks.ts';
import {
  ExtrasBatchImagesRequest,
  ExtrasBatchImagesResponse,
  ExtrasSingleImageRequest,
  ExtrasSingleImageResponse,
  FileData,
  LatentUpscalerModeItem,
  PngInfoRequest,
  PngInfoResponse,
  RealesrganItem,
  UpscalerItem,
} from './schemas/extras.ts';
import { Img2ImgRequest } from './schemas/img2img.ts';
import { JOB_ANSWERS, JOB_REQUESTS } from './schemas/jobs.ts';
import { DeletedLora, LoraInspection } from './schemas/loras.ts';
import { Options } from './schemas/options.ts';
import {
  PendingTasksResponse,
  ProgressResponse,
  TaskProgressRequest,
  TaskProgressResponse,
} from './schemas/progress.ts';
import {
  Flags,
  HealthResponse,
  HomeResponse,
  MemoryResponse,
  QueueStatusResponse,
  ReadyResponse,
} from './schemas/server.ts';
import { SparkleRequest, SparkleResponse } from './schemas/sparkle.ts';
import { StepsPlanResponse } from './schemas/steps-plan.ts';
import { ImageToImageResponse, TextToImageResponse, Txt2ImgRequest } from './schemas/txt2img.ts';
import { WEB_UI_ANSWERS, WEB_UI_REQUESTS } from './schemas/web-ui.ts';

/** Bodies of requests, by name. */
export const REQUESTS = {
  StableDiffusionProcessingTxt2Img: Txt2ImgRequest,
  ExtrasBatchImagesRequest,
  ExtrasSingleImageRequest,
  FileData,
  PNGInfoRequest: PngInfoRequest,
  StableDiffusionProcessingImg2Img: Img2ImgRequest,
  SparkleRequest,
  ProgressRequest: TaskProgressRequest,
  ...WEB_UI_REQUESTS,
  ...JOB_REQUESTS,
  ...SCHEDULER_REQUESTS,
};

/** Bodies of answers, by name. */
export const ANSWERS = {
  EmbeddingItem,
  EmbeddingsResponse,
  HTTPValidationError,
  HealthResponse,
  HomeResponse,
  ImageToImageResponse,
  MemoryResponse,
  Options,
  Flags,
  PendingTasksResponse,
  ExtrasBatchImagesResponse,
  ExtrasSingleImageResponse,
  LatentUpscalerModeItem,
  PNGInfoResponse: PngInfoResponse,
  PromptStyleItem,
  RealesrganItem,
  UpscalerItem,
  QueueStatusResponse,
  ReadyResponse,
  SDModelItem,
  LoraItem,
  SDVaeItem,
  SamplerItem,
  SchedulerItem,
  SparkleResponse,
  StepsPlanResponse,
  ScriptArg,
  ScriptInfo,
  ScriptsList,
  TextToImageResponse,
  ValidationError,
  ApiError,
  // Two of one name: FastAPI puts their modules before it.
  modules__api__models__ProgressResponse: ProgressResponse,
  modules__progress__ProgressResponse: TaskProgressResponse,
  DeletedLora,
  LoraInspection,
  NetworkCard,
  NetworkMetadata,
  ...WEB_UI_ANSWERS,
  ...JOB_ANSWERS,
  ...SCHEDULER_ANSWERS,
};

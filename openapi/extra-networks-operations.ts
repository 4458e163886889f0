/** The web UI's endpoints of model cards: previews, covers, metadata. */
import type { Operation } from './operation.ts';
import {
  CardQuery,
  CoverQuery,
  MetadataQuery,
  NetworkCard,
  NetworkMetadata,
  ThumbQuery,
} from './schemas/extra-networks.ts';

export const EXTRA_NETWORKS_OPERATIONS: readonly Operation[] = [
  {
    method: 'get',
    path: '/sd_extra_networks/thumb',
    id: 'fetch_file_sd_extra_networks_thumb_get',
    tag: 'Models',
    summary: 'Sends a preview picture that lies beside a model.',
    query: ThumbQuery,
    answer: { media: 'image/*' },
    statuses: [404],
  },
  {
    method: 'get',
    path: '/sd_extra_networks/cover-images',
    id: 'fetch_cover_images_sd_extra_networks_cover_images_get',
    tag: 'Models',
    summary: 'Sends a cover picture that a model file carries in its metadata.',
    query: CoverQuery,
    answer: { media: 'image/*' },
    statuses: [404],
  },
  {
    method: 'get',
    path: '/sd_extra_networks/metadata',
    id: 'get_metadata_sd_extra_networks_metadata_get',
    tag: 'Models',
    summary: 'Tells the metadata of a model file.',
    query: MetadataQuery,
    answer: NetworkMetadata,
  },
  {
    method: 'get',
    path: '/sd_extra_networks/get-single-card',
    id: 'get_single_card_sd_extra_networks_get_single_card_get',
    tag: 'Models',
    summary: 'Writes one model as a card.',
    query: CardQuery,
    answer: NetworkCard,
    statuses: [404],
  },
];

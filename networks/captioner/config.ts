/** What the shapes of a captioning model say. */
export interface CaptionerConfig {
  vision: {
    width: number;
    layers: number;
    heads: number;
    /** Side of the picture that the model looks at, pixels. */
    side: number;
  };
  text: {
    width: number;
    layers: number;
    heads: number;
    /** Words and pieces of words, the two markers of the model included. */
    tokens: number;
    /** Most tokens of a text. */
    positions: number;
    /** Where the weight of the last layer is: its own tensor, or the table of words. */
    head: string;
    headBias: string;
  };
}

/** Where the two halves of the model are in the file. */
export const VISION = 'vision_model';
export const TEXT = 'text_decoder.bert';
export const HEAD = 'text_decoder.cls.predictions';

/**
 * ONNX models as plain data, and their protobuf bytes.
 *
 * Field numbers are those of onnx.proto3 (IR version 10); only the eight messages that a graph
 * with external weights needs are written, none are read.
 */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** Element types by their number in TensorProto.DataType. */
export const ELEMENT = {
  f32: 1,
  u8: 2,
  i8: 3,
  i32: 6,
  i64: 7,
  bool: 9,
  f16: 10,
  bf16: 16,
} as const;
export type ElementType = keyof typeof ELEMENT;

export type Attribute = number | number[] | string | { float: number };

export interface Node {
  op: string;
  /** '' is ai.onnx. */
  domain: string;
  inputs: string[];
  outputs: string[];
  attributes: Record<string, Attribute>;
}

export interface Initializer {
  name: string;
  type: ElementType;
  shape: number[];
  /** Little-endian elements kept in the model, or a byte range of a file in the session's folder. */
  data: Uint8Array | { location: string; offset: number; bytes: number };
}

export interface Port {
  name: string;
  type: ElementType;
  /** A string is a free dimension; null is a shape of which nothing is told. */
  shape: (number | string)[] | null;
}

export interface Model {
  nodes: Node[];
  initializers: Initializer[];
  inputs: Port[];
  outputs: Port[];
}

const IR_VERSION = 10;
const OPSETS: [domain: string, version: number][] = [
  ['', 21],
  ['com.microsoft', 1],
];

const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, ints: 7 } as const;

function message(w: BinaryWriter, field: number, write: () => void): void {
  w.tag(field, WireType.LengthDelimited).fork();
  write();
  w.join();
}

function text(w: BinaryWriter, field: number, value: string): void {
  w.tag(field, WireType.LengthDelimited).string(value);
}

function int(w: BinaryWriter, field: number, value: number): void {
  w.tag(field, WireType.Varint).int64(value);
}

function writeAttribute(w: BinaryWriter, name: string, value: Attribute): void {
  text(w, 1, name);
  if (typeof value === 'number') {
    int(w, 3, value);
    int(w, 20, ATTRIBUTE_TYPE.int);
  } else if (typeof value === 'string') {
    text(w, 4, value);
    int(w, 20, ATTRIBUTE_TYPE.string);
  } else if (Array.isArray(value)) {
    for (const item of value) int(w, 8, item);
    int(w, 20, ATTRIBUTE_TYPE.ints);
  } else {
    w.tag(2, WireType.Bit32).float(value.float);
    int(w, 20, ATTRIBUTE_TYPE.float);
  }
}

function writeNode(w: BinaryWriter, node: Node): void {
  for (const name of node.inputs) text(w, 1, name);
  for (const name of node.outputs) text(w, 2, name);
  text(w, 3, node.outputs[0] ?? node.op);
  text(w, 4, node.op);
  for (const [name, value] of Object.entries(node.attributes))
    message(w, 5, () => writeAttribute(w, name, value));
  if (node.domain) text(w, 7, node.domain);
}

function writeEntry(w: BinaryWriter, key: string, value: string): void {
  message(w, 13, () => {
    text(w, 1, key);
    text(w, 2, value);
  });
}

function writeInitializer(w: BinaryWriter, tensor: Initializer): void {
  for (const size of tensor.shape) int(w, 1, size);
  int(w, 2, ELEMENT[tensor.type]);
  text(w, 8, tensor.name);
  if (tensor.data instanceof Uint8Array) {
    w.tag(9, WireType.LengthDelimited).bytes(tensor.data);
    return;
  }
  writeEntry(w, 'location', tensor.data.location);
  writeEntry(w, 'offset', String(tensor.data.offset));
  writeEntry(w, 'length', String(tensor.data.bytes));
  int(w, 14, 1);
}

function writePort(w: BinaryWriter, port: Port): void {
  text(w, 1, port.name);
  message(w, 2, () =>
    message(w, 1, () => {
      int(w, 1, ELEMENT[port.type]);
      const { shape } = port;
      if (shape === null) return;
      message(w, 2, () => {
        for (const size of shape)
          message(w, 1, () => {
            if (typeof size === 'number') int(w, 1, size);
            else text(w, 2, size);
          });
      });
    }),
  );
}

/** Returns the model as ModelProto bytes, ready for `InferenceSession.create`. */
export function encodeModel(model: Model): Uint8Array {
  const w = new BinaryWriter();
  int(w, 1, IR_VERSION);
  text(w, 2, 'sdserve');
  message(w, 7, () => {
    for (const node of model.nodes) message(w, 1, () => writeNode(w, node));
    text(w, 2, 'sdserve');
    for (const tensor of model.initializers) message(w, 5, () => writeInitializer(w, tensor));
    for (const port of model.inputs) message(w, 11, () => writePort(w, port));
    for (const port of model.outputs) message(w, 12, () => writePort(w, port));
  });
  for (const [domain, version] of OPSETS)
    message(w, 8, () => {
      if (domain) text(w, 1, domain);
      int(w, 2, version);
    });
  return w.finish();
}

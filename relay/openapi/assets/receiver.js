import { createHmac, timingSafeEqual } from "node:crypto";

// The event in a callback; throws for what one of your secrets did not just sign. `headers` in lower case, as
// Node gives them; `body` is a Buffer as it came: JSON that was parsed and written again is other bytes.
export function verified(headers, body, secrets) {
  const [id, stamp, said] = ["id", "timestamp", "signature"].map((name) => headers[`webhook-${name}`] ?? "");
  if (!/^\d{1,12}$/.test(stamp) || Math.abs(Date.now() / 1000 - Number(stamp)) > 300) {
    throw new Error("too old, or a clock is wrong");
  }
  const signed = Buffer.concat([Buffer.from(`${id}.${stamp}.`), body]);
  for (const secret of secrets) { // during a rotation the old and the new
    const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
    const mine = Buffer.from("v1," + createHmac("sha256", key).update(signed).digest("base64"));
    for (const one of said.split(" ").map((entry) => Buffer.from(entry))) {
      if (one.length === mine.length && timingSafeEqual(one, mine)) return JSON.parse(body); // once: see webhook-id
    }
  }
  throw new Error("signed by nobody we know");
}

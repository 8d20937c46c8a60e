// A few lines that check a webhook's signature; they run as they are.

const NODE = `import { createHmac, timingSafeEqual } from "node:crypto";

/** Whether header (X-Convoy-Signature) signs body, the raw bytes, with secret. */
export function verify(body, header, secret = process.env.WEBHOOK_SECRET ?? "") {
  const pairs = header.split(",").map((pair) => pair.trim().split("="));
  const time = pairs.find(([key]) => key === "t")?.[1] ?? "";
  // An old request sent again, or no timestamp.
  if (!/^\\d{1,15}$/.test(time) || Math.abs(Date.now() / 1000 - Number(time)) > 300) return false;
  const expected = createHmac("sha256", secret).update(time + ",").update(body).digest();
  return secret !== "" && pairs.some(([key, hex]) => {
    const given = Buffer.from(hex ?? "", "hex");
    return key === "v1" && given.length === expected.length && timingSafeEqual(given, expected);
  });
}
`;

const PYTHON = `import hmac, os, re, time


def verify(body: bytes, header: str, secret: str = os.environ.get("WEBHOOK_SECRET", "")) -> bool:
    """Whether header (X-Convoy-Signature) signs body, the raw bytes, with secret."""
    pairs = [pair.strip().partition("=")[::2] for pair in header.split(",")]
    sent = next((value for key, value in pairs if key == "t"), "")
    # An old request sent again, or no timestamp.
    if not re.fullmatch("[0-9]{1,15}", sent) or abs(time.time() - int(sent)) > 300:
        return False
    expected = hmac.digest(secret.encode(), sent.encode() + b"," + body, "sha256").hex()
    return secret != "" and any(
        key == "v1" and hmac.compare_digest(value.encode(), expected.encode()) for key, value in pairs
    )
`;

/** The check by language. */
export const SNIPPETS = { "Node.js": NODE, Python: PYTHON };

/**
 * Hosts that are visibly not on the public internet. What a name resolves to is not known here: Convoy
 * has to check that (docs/security.md).
 */
import { isLoopback } from "../loopback.ts";

type Kind = "loopback" | "private" | "link-local" | "reserved";

const WORDS: Record<Kind, string> = {
  loopback: "is a loopback address",
  private: "is a private address",
  "link-local": "is a link-local address, where clouds have their metadata",
  reserved: "is a reserved address",
};

// IANA IPv4 Special-Purpose Address Registry (RFC 6890): not reachable from everywhere.
const SPECIAL_V4: readonly [network: string, bits: number, kind: Kind][] = [
  ["0.0.0.0", 8, "loopback"],
  ["10.0.0.0", 8, "private"],
  ["100.64.0.0", 10, "private"],
  ["127.0.0.0", 8, "loopback"],
  ["169.254.0.0", 16, "link-local"],
  ["172.16.0.0", 12, "private"],
  ["192.0.0.0", 24, "reserved"],
  ["192.0.2.0", 24, "reserved"],
  ["192.88.99.0", 24, "reserved"],
  ["192.168.0.0", 16, "private"],
  ["198.18.0.0", 15, "private"],
  ["198.51.100.0", 24, "reserved"],
  ["203.0.113.0", 24, "reserved"],
  // Multicast, reserved, broadcast.
  ["224.0.0.0", 3, "reserved"],
];

/** Domains without public addresses; what is below them has none either. */
const LOCAL_DOMAINS = [
  // IANA Special-Use Domain Names (www.iana.org/assignments/special-use-domain-names). Its `example`
  // names are left out: they lead nowhere, and documentation is tried as it stands.
  ...["alt", "arpa", "invalid", "local", "localhost", "onion", "test"],
  // ICANN's resolution 2024.07.29.06: `internal` is for private use; 2018.02.04.12: these are never delegated.
  ...["internal", "corp", "home", "mail"],
  // RFC 6762, appendix G: in use as private top-level domains.
  ...["intranet", "lan", "private"],
  // Kubernetes (svc, cluster.local), Consul, resolv.conf and /etc/hosts, home routers.
  ...["svc", "cluster", "consul", "localdomain", "localdomain6", "localhost6", "localnet"],
  ...["domain", "workgroup", "router", "fritz.box", "dhcp"],
];

/**
 * Why this host of a URL, as a URL parser writes it, is not on the public internet: "is a private
 * address"; undefined if that cannot be seen.
 */
export function privateReason(hostname: string): string | undefined {
  // The parser turns every notation of an address (decimal, octal, short, mapped) into one.
  const host = hostname.replace(/\.$/, "");
  const kind = kindOf(host);
  if (kind) return WORDS[kind];
  if (host.startsWith("[") || /^[\d.]+$/.test(host)) return undefined;
  if (isLoopback(host)) return "is this machine";
  // It is looked up in the resolver's own domains.
  if (!host.includes(".")) return "is a name without a dot, which only a local network knows";
  const domain = LOCAL_DOMAINS.find((one) => host === one || host.endsWith(`.${one}`));
  return domain && `is a local name: .${domain} is not on the public internet`;
}

function kindOf(host: string): Kind | undefined {
  if (host.startsWith("[")) return kindOfV6(groupsOf(host.slice(1, -1)));
  return /^[\d.]+$/.test(host) ? kindOfV4(numberOf(host)) : undefined;
}

function numberOf(address: string): number {
  return address.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
}

function kindOfV4(address: number): Kind | undefined {
  const found = SPECIAL_V4.find(([network, bits]) => {
    const size = 2 ** (32 - bits);
    return Math.floor(address / size) === Math.floor(numberOf(network) / size);
  });
  return found?.[2];
}

/** The eight groups of an IPv6 address as a URL parser writes it. */
function groupsOf(address: string): number[] {
  const [head = "", tail] = address.split("::");
  const read = (part: string) => (part ? part.split(":").map((group) => parseInt(group, 16)) : []);
  const [first, last] = [read(head), read(tail ?? "")];
  return [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last];
}

// IANA IPv6 Special-Purpose Address Registry.
function kindOfV6(groups: number[]): Kind | undefined {
  const [a = 0, b = 0, c = 0, , e = 0, f = 0, g = 0, h = 0] = groups;
  const embedded = kindOfV4(g * 65_536 + h);
  const zeros = (n: number) => groups.slice(0, n).every((group) => group === 0);
  if (zeros(7) && h <= 1) return "loopback";
  // IPv4 that is mapped (::ffff:), compatible (::), translated (::ffff:0:) or behind ISATAP.
  if (zeros(5) && f === 0) return "reserved";
  if (zeros(5) && f === 0xffff) return embedded;
  if (zeros(4) && e === 0xffff && f === 0) return embedded;
  if ((e & ~0x200) === 0 && f === 0x5efe && embedded) return embedded;
  // NAT64 and 6to4 lead to IPv4.
  if (a === 0x64 && b === 0xff9b) return "private";
  if (a === 0x2002) return kindOfV4(b * 65_536 + c);
  if (a >> 6 === 0xfe80 >> 6) return "link-local";
  if (a >> 9 === 0xfc00 >> 9 || a >> 6 === 0xfec0 >> 6) return "private";
  // Only 2000::/3 is allocated; of it, 2001::/23 (Teredo and other protocols) and documentation are not public.
  const isSpecial = (a === 0x2001 && (b < 0x200 || b === 0xdb8)) || (a === 0x3fff && b < 0x1000);
  return a >> 13 !== 1 || isSpecial ? "reserved" : undefined;
}

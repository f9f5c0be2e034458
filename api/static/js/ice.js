/** Text of WHIP (RFC 9725) and trickle ICE (RFC 8840). Pure. */

/** ICE servers of a `Link` header: `<turn:h:3478>; rel="ice-server"; username="u"; credential="c"; credential-type="password"`. */
export function iceServers(linkHeader) {
  if (!linkHeader) return [];
  const servers = [];
  for (const [, url, rest] of linkHeader.matchAll(
    /<([^>]*)>((?:\s*;\s*[\w*-]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s";,]+))*)/g,
  )) {
    const parameters = {};
    for (const [, name, quoted, token] of rest.matchAll(/;\s*([\w*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s";,]+))/g)) {
      parameters[name.toLowerCase()] = quoted === undefined ? token : quoted.replaceAll(/\\(.)/g, "$1");
    }
    if (!(parameters.rel ?? "").split(/\s+/).includes("ice-server") || !/^(stun|turn)s?:/i.test(url)) continue;
    const { username, credential } = parameters;
    // A relay without credentials is of no use, and browsers refuse the whole connection for it.
    if (username && credential) servers.push({ urls: url, username, credential });
    else if (/^stun/i.test(url)) servers.push({ urls: url });
  }
  return servers;
}

/**
 * Body of a trickle PATCH for candidates gathered after `sdp` was offered: [{candidate, sdpMid}], under the media section
 * each belongs to, which is described as it was in the offer. `end` says that no more will come.
 */
export function sdpFragment(sdp, candidates, end) {
  const [session, ...media] = sdp.split(/^(?=m=)/m);
  const line = (text, name) => text.split(/\r?\n/).find((candidate) => candidate.startsWith(name));
  const shared = ["a=ice-ufrag:", "a=ice-pwd:"]
    .map((name) => line(session, name) ?? line(media[0] ?? "", name))
    .filter(Boolean);
  const lines = [...shared];
  media.forEach((section, i) => {
    const mid = line(section, "a=mid:")?.slice(6) ?? String(i);
    const mine = candidates.filter((candidate) => candidate.sdpMid === mid);
    if (mine.length === 0 && !(end && i === 0)) return;
    lines.push(section.split(/\r?\n/)[0], `a=mid:${mid}`, ...mine.map(({ candidate }) => `a=${candidate}`));
    if (end) lines.push("a=end-of-candidates");
  });
  return `${lines.join("\r\n")}\r\n`;
}

/** Codecs with those of `mimeType` first; the rest keep their order, so that a server without it can still choose. */
export function preferCodec(codecs, mimeType) {
  const wanted = (codec) => codec.mimeType.toLowerCase() === mimeType.toLowerCase();
  return [...codecs.filter(wanted), ...codecs.filter((codec) => !wanted(codec))];
}

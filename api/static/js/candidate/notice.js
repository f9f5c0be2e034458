/** What a candidate reads before they agree, made from what their own session says of itself. */

import { noticeMessage } from "./messages.js";

const TIMEOUT_MS = 15_000;

/** The session's notice, by its token: {notice}, or {fault}, the message for why it cannot be had. */
export async function load(session, token) {
  try {
    const response = await fetch(`/v1/sessions/${encodeURIComponent(session)}/notice`, {
      headers: { Accept: "application/json", Authorization: `Bearer ${token}` },
      cache: "no-store",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return response.ok ? { notice: await response.json() } : { fault: noticeMessage(response.status) };
  } catch {
    // Refused, cut off in the middle, or too slow: to a candidate these are one.
    return { fault: noticeMessage(0) };
  }
}

/** A number of days in words: "30 days", "1 day", "12 hours", "1 hour". */
export function howLong(days) {
  const of = (count, unit) => `${count} ${unit}${count === 1 ? "" : "s"}`;
  return days >= 1 ? of(Math.round(days * 10) / 10, "day") : of(Math.max(1, Math.ceil(days * 24)), "hour");
}

/** The consent text of a notice: lists of sentences {analysed, not, noted, kept}. Pure. */
export function consentText({ analysis, rules, retention_days }) {
  const { fps, audio, transcript, emotion, evidence, objects, identity, text, keep_text, voices } = analysis;
  const analysed = [
    `Your camera: on. Up to ${Math.round(fps * 10) / 10} pictures a second: whether a face, or more than one, is in view, which way head and eyes point, how often the eyes blink, how mouth and brows move.`,
    objects &&
      "Things in view: on, if a detector for them is available. It looks for the phones and other things named below.",
    identity &&
      "Your face: compared with a reference picture, only if one is registered for this interview. Of that picture only numbers are kept, encrypted, until the session is deleted.",
    text &&
      `Readable text in view: on, if available. ${keep_text ? "What is read is kept." : "Only that there is text, and where; not what it says."}`,
    audio && "Your voice: on. When you speak and pause, how loud, and how it sounds.",
    voices &&
      "Voices: told apart, if available, to notice a second one. They get numbers, not names, and nothing of how a voice sounds is kept.",
    transcript && "What you say: on. It is written down as a transcript.",
    emotion && "Emotions: on. Expression and signs of stress may be judged from face and voice.",
    "How good picture and sound are. When they are not good enough, the software says “could not tell”, and that never counts against you.",
  ];
  const not = [
    !emotion && "Emotions: off. No feelings and no stress are judged in this interview.",
    !audio && "Your voice: off. Sound is thrown away as it arrives.",
    audio && !voices && "Voices: not told apart.",
    !transcript && "What you say: off. Nothing of it is written down.",
    !objects && "Things in view: off. Nobody looks for them.",
    !identity && "Your face: not compared with any picture.",
    !text && "Readable text in view: off. Nothing in the picture is read.",
    "Your health, origin, looks or character.",
    "Your screen, your files, and anything before you join or after you leave.",
  ];
  const kept = [
    "The video is not recorded as a whole.",
    evidence
      ? "Stills and clips: on. For an alert, a still and a clip of a few seconds are kept."
      : "Stills and clips: off. No pictures are kept.",
    `${transcript ? "Notes and transcript are" : "Notes are"} kept${evidence ? ", like stills and clips," : ""} for at most ${howLong(retention_days)}, or until the organisation deletes the session.`,
    audio && "Sound is held for at most 15 minutes, in case a computer fails.",
  ];
  return { analysed: analysed.filter(Boolean), not: not.filter(Boolean), noted: rules, kept: kept.filter(Boolean) };
}

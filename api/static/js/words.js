/** Plain, fair words for what the log names in capitals. A rule describes what was seen; it accuses nobody. */

const RULES = {
  PHONE_DETECTED: "Phone in view",
  PHONE_PARTIAL_DETECTED: "Part of a phone in view",
  MULTIPLE_FACES: "More than one face",
  EYES_OFF_SCREEN: "Eyes off the screen",
  LOOKING_AWAY: "Head turned away",
  NO_FACE: "No face in view",
  SUSPICIOUS_OBJECT: "Object worth a look",
  WHISPERING: "Whispering",
  READING_PATTERN: "Eyes move as in reading",
  STRESS_HIGH: "Signs of stress",
  SECOND_VOICE: "A second voice",
  VOICE_NOT_FROM_FACE: "Voice, but a still mouth",
  SOUND_UNCLEAR: "Sound could not be judged",
  IDENTITY_MISMATCH: "Face unlike the reference picture",
  TEXT_IN_VIEW: "Readable text in view",
  FACE_REGISTERED: "Reference face registered",
  DOCUMENT_COMPARED: "ID document compared",
  SOURCE_LOST: "Connection over",
  COULD_NOT_TELL: "Could not tell",
};

const STATUSES = {
  created: ["Waiting", "The candidate has not joined yet."],
  live: ["Live", "Picture or sound is arriving."],
  stalled: ["Interrupted", "No picture and no sound arrive. The candidate may come back."],
  ended: ["Ended", "The session was ended."],
  expired: ["Expired", "Nothing arrived for so long that the session was closed."],
};

const REASONS = {
  dark: "the picture is too dark",
  bright: "the picture is too bright",
  blurred: "the picture is blurred",
  occluded: "the face is covered",
  face_hidden: "the face cannot be seen",
  person_unknown: "nobody looked whether somebody is there",
  unreadable: "what was measured cannot be right",
  stale: "pictures arrive too late",
  workers_behind: "the analysis is behind",
  no_frames: "no picture arrives, or its analysis is behind",
  frame_unreadable: "pictures arrive broken",
  lost_packets: "the network loses packets",
};

const FEATURES = {
  face: "Faces",
  person: "Telling a hidden face from an empty chair",
  hands: "Telling a covered face from an uneven light",
  objects: "Phones and other objects",
  identity: "Comparing the face with a reference",
  expression: "Expression model",
  text: "Readable text in view",
  transcript: "Transcript",
  translation: "Translation",
  voices: "Telling voices apart",
};

const EXPRESSIONS = {
  HAPPY: "Happy",
  CALM: "Calm",
  CONFUSED: "Confused",
  SURPRISED: "Surprised",
  SAD: "Sad",
  ANGRY: "Angry",
  DISGUSTED: "Disgusted",
  FEAR: "Fearful",
};

const SOUND = {
  lost: "sound was lost on its way",
  muted: "the microphone gave no sound",
  quiet: "the voice was too low",
  clipped: "the sound was too loud for the microphone",
  noisy: "there was noise",
  music: "there was music",
};

const SIGNALS = {
  pose: "Which way the head points",
  gaze: "Where the eyes look",
  expression: "The expression",
  identity: "Whose face it is",
};

const ABSTAINED = {
  small: "the face was too small",
  turned: "the face was turned too far",
  blurred: "the face was blurred",
  dark: "the face was too dark",
  bright: "the face was too bright",
  occluded: "the face was covered",
  eyes_closed: "the eyes were closed",
};

export const LEVELS = { low: "Low", medium: "Medium", high: "High", critical: "Critical" };
export const SEVERITIES = { info: "Info", ...LEVELS };
const RANK = { info: 0, low: 1, medium: 2, high: 3, critical: 4 };

/** `SOME_NEW_RULE` -> `Some new rule`: what a page says of a name it has never met. */
export function sentence(name) {
  const words = String(name)
    .replaceAll(/[_.-]+/g, " ")
    .trim()
    .toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export const rule = (name) => RULES[name] ?? sentence(name);
export const feature = (name) => FEATURES[name] ?? sentence(name);
export const soundProblem = (name) => SOUND[name] ?? sentence(name).toLowerCase();
export const expression = (name) => EXPRESSIONS[name] ?? sentence(name);
export const level = (name) => LEVELS[name] ?? sentence(name);
export const severity = (name) => SEVERITIES[name] ?? sentence(name);
export const status = (name) => STATUSES[name]?.[0] ?? sentence(name);
export const statusDetail = (name) => STATUSES[name]?.[1] ?? "";
export const rank = (severityOrLevel) => RANK[severityOrLevel] ?? 0;
export const isOver = (statusName) => statusName === "ended" || statusName === "expired";

/** What one signal could not tell: "Where the eyes look: could not tell for 40 % of the faces (mostly, ...)". */
export function abstention({ signal, share, reason }) {
  const why = ABSTAINED[reason] ?? sentence(reason).toLowerCase();
  const part = share < 0.01 ? "under 1" : Math.round(100 * share);
  return `${SIGNALS[signal] ?? sentence(signal)}: could not tell for ${part} % of the faces, mostly because ${why}.`;
}

/** Why nothing can be judged, as one clause: "the picture is too dark and the face is covered". */
export function reasons(names) {
  const clauses = names.map((name) => REASONS[name] ?? sentence(name).toLowerCase());
  return clauses.length > 1 ? `${clauses.slice(0, -1).join(", ")} and ${clauses.at(-1)}` : (clauses[0] ?? "");
}

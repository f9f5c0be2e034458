/** How somebody spoke, in plain words: the bands of `api/speaking.py`, from which each word counts. Pure. */

export const MIN_SPEECH_S = 5;
export const MIN_PAUSES = 3;

export const SCALES = {
  speaking_ratio: [
    [0, "Mostly silent"],
    [0.2, "Reserved"],
    [0.45, "Fairly active"],
    [0.7, "Very active"],
  ],
  speech_rate_wpm: [
    [0, "Slow pace"],
    [100, "Calm pace"],
    [120, "Ideal pace"],
    [160, "Brisk pace"],
    [190, "Fast pace"],
  ],
  pause_mean_s: [
    [0, "Fluent"],
    [2, "Some long pauses"],
    [4, "Long pauses"],
  ],
};

/** The word for a figure of `SCALES[name]`; empty where it was not measured. */
export function word(name, value) {
  if (value === null || value === undefined) return "";
  return SCALES[name].findLast(([least]) => value >= least)?.[1] ?? SCALES[name][0][1];
}

/** The figures of a session's measures that have words; null where too little was heard. */
export function figures({ speech_s: speech, speech_share: share, words_per_min: pace, pauses, pause_mean_s: pause }) {
  const enough = speech >= MIN_SPEECH_S;
  return {
    speaking_ratio: enough ? (share ?? null) : null,
    speech_rate_wpm: enough ? (pace ?? null) : null,
    pause_mean_s: enough && pauses >= MIN_PAUSES ? (pause ?? null) : null,
  };
}

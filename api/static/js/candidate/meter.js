/** How loud the microphone is, so that a candidate sees that they are heard before they join. */

const FLOOR_DBFS = -60;
const HEARD_DBFS = -42;
const PERIOD_MS = 80;

/** Level of samples (-1 to 1) as RMS in dB of full scale, at least FLOOR_DBFS. Pure. */
export function level_dbfs(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const rms = Math.sqrt(sum / Math.max(1, samples.length));
  return rms > 0 ? Math.max(FLOOR_DBFS, 20 * Math.log10(rms)) : FLOOR_DBFS;
}

/** Show the level of `stream` in an element of role meter (its child is the bar), and call `onHeard` the first time there is sound; returns what stops it. */
export function startMeter(stream, meter, onHeard) {
  if (stream.getAudioTracks().length === 0) return () => {};
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 2048 });
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  let heard = false;
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const level = level_dbfs(samples);
    meter.setAttribute("aria-valuenow", String(Math.round(level)));
    meter.firstElementChild.style.width = `${(1 - level / FLOOR_DBFS) * 100}%`;
    if (!heard && level > HEARD_DBFS) {
      heard = true;
      onHeard();
    }
  }, PERIOD_MS);
  return () => {
    clearInterval(timer);
    context.close();
  };
}

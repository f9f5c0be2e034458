/** Camera and microphone: asked for once, chosen by name, changed while running. */

const VIDEO = { width: { ideal: 1280, min: 320 }, height: { ideal: 720 }, frameRate: { ideal: 24, max: 30 } };
/** Echo would sound like a second voice; suppressing "noise" could take away a whisper that the candidate may explain. */
const AUDIO = { echoCancellation: true, noiseSuppression: false, autoGainControl: true };

/** Whether this page may ask for devices at all. */
export const canAsk = () => globalThis.isSecureContext && Boolean(navigator.mediaDevices?.getUserMedia);
export const canPublish = () => typeof globalThis.RTCPeerConnection === "function";

const wish = (defaults, deviceId) => (deviceId ? { ...defaults, deviceId: { exact: deviceId } } : defaults);

/** A stream of one camera and one microphone; throws the browser's DOMException. */
export const open = ({ camera = "", microphone = "" } = {}) =>
  navigator.mediaDevices.getUserMedia({ video: wish(VIDEO, camera), audio: wish(AUDIO, microphone) });

export function stop(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

/** Cameras and microphones with readable names: {cameras: [{id, name}], microphones: [...]}. */
export async function list() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  const of = (kind, fallback) =>
    devices
      .filter((device) => device.kind === kind && device.deviceId)
      .map((device, i) => ({ id: device.deviceId, name: device.label || `${fallback} ${i + 1}` }));
  return { cameras: of("videoinput", "Camera"), microphones: of("audioinput", "Microphone") };
}

/** Keep the screen of a phone on while the page is in front; returns what lets it sleep again. */
export function keepAwake() {
  let lock = null;
  // Refused where the battery is low: the interview goes on all the same.
  const ask = () =>
    document.visibilityState === "visible" &&
    navigator.wakeLock?.request("screen").then(
      (held) => (lock = held),
      () => null,
    );
  document.addEventListener("visibilitychange", ask);
  ask();
  return () => {
    document.removeEventListener("visibilitychange", ask);
    lock?.release();
  };
}

/** Ids of the devices a stream uses: {camera, microphone}. */
export function used(stream) {
  const id = (track) => track?.getSettings().deviceId ?? "";
  return { camera: id(stream.getVideoTracks()[0]), microphone: id(stream.getAudioTracks()[0]) };
}

"""What is known of the recorded heads: AFLW2000-3D poses as rotations of our own axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.io import loadmat


def aflw_angles_deg(path: Path) -> tuple[float, float, float]:
    """Pitch, yaw, roll of one `.mat`, degrees, in the data set's signs: its yaw is positive to the image's left."""
    pitch, yaw, roll = np.degrees(loadmat(str(path))["Pose_Para"][0][:3])
    return float(pitch), float(yaw), float(roll)


def aflw_rotation(path: Path) -> npt.NDArray[np.float64]:
    """Rotation of one `.mat`: pitch, then yaw, then roll, each about the moved axis."""
    pitch, yaw, roll = np.radians(aflw_angles_deg(path))
    yaw = -yaw
    nod = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    lean = np.array([[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return np.asarray(nod @ turn @ lean, dtype=np.float64)

"""The mesh of make_body_assets.py: which faces can be seen, and mirror-symmetric decimation.

Vertices are (V, 3) in millimetres; left is +x, up is +y. Decimation only removes vertices, so every
remaining vertex keeps its blend shapes and skin weights.
"""

import heapq
import itertools

import cv2
import numpy as np


def visible_faces(vertices_mm: np.ndarray, quads: np.ndarray, views: int = 64) -> np.ndarray:
    """Finds the quads that show at least 2 px (of 1.3 mm) in one of several orthographic views."""
    rng = np.random.default_rng(0)
    visible = np.zeros(len(quads), bool)
    centre = (vertices_mm.max(0) + vertices_mm.min(0)) / 2
    for _ in range(views):
        axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        points = (vertices_mm - centre) @ axes
        pixels = np.round(points[:, :2] / 1.3 * 16 + 16 * 900).astype(np.int32)
        canvas = np.full((1800, 1800), -1, np.int32)
        for face in np.argsort(points[quads, 2].mean(1)):
            cv2.fillConvexPoly(canvas, pixels[quads[face]], int(face), cv2.LINE_8, 4)
        faces, counts = np.unique(canvas[canvas >= 0], return_counts=True)
        visible[faces[counts >= 2]] = True
    # Their neighbours stay too: folds of ears and nostrils would become holes.
    return np.asarray(np.isin(quads, quads[visible]).any(axis=1))


def triangles(quads: np.ndarray) -> np.ndarray:
    """Splits (F, 4) quads into (2F, 3) triangles; a triangle stored as a quad gives one."""
    both = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    proper = (both[:, 0] != both[:, 1]) & (both[:, 1] != both[:, 2]) & (both[:, 2] != both[:, 0])
    return both[proper]


def mirrored(faces: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Adds to the faces of one half those of the other, with their winding turned."""
    return np.concatenate([faces, mirror[faces][:, ::-1]])


def _normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = points[..., faces[:, 0], :], points[..., faces[:, 1], :], points[..., faces[:, 2], :]
    return np.cross(b - a, c - a)


def _quadrics(shapes: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Error quadrics (V, S, 4, 4): squared distance to the planes of a vertex's faces, times area.

    Edges of an open border, as the midline has, add a plane at right angles to their face (Garland
    and Heckbert, Surface simplification using quadric error metrics, 1997).
    """
    normals = _normals(shapes, faces)
    length = np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-9
    unit = normals / length
    plane = np.concatenate([unit, -(unit * shapes[:, faces[:, 0]]).sum(-1, keepdims=True)], -1)
    per_face = plane[..., :, None] * plane[..., None, :] * (length / 2)[..., None]
    result = np.zeros((shapes.shape[1], len(shapes), 4, 4))
    for corner in range(3):
        np.add.at(result, faces[:, corner], per_face.transpose(1, 0, 2, 3))
    edges: dict[tuple[int, int], list[int]] = {}
    for index, face in enumerate(faces):
        for a, b in ((0, 1), (1, 2), (2, 0)):
            edges.setdefault((min(face[a], face[b]), max(face[a], face[b])), []).append(index)
    for (a, b), owners in edges.items():
        if len(owners) == 1:
            along = shapes[:, b] - shapes[:, a]
            upright = np.cross(along, unit[:, owners[0]])
            weight = np.linalg.norm(upright, axis=-1) + 1e-9
            upright /= weight[:, None]
            plane = np.concatenate([upright, -(upright * shapes[:, a]).sum(-1, keepdims=True)], -1)
            term = plane[:, :, None] * plane[:, None, :] * (weight**2)[:, None, None]
            result[a] += term
            result[b] += term
    return result


def decimate(
    shapes: np.ndarray, faces: np.ndarray, middle: np.ndarray, weights: np.ndarray, keep: int
) -> np.ndarray:
    """Collapses edges onto one of their ends until `keep` vertices are left; returns the faces.

    `shapes` (S, V, 3) are several bodies, so that detail needed by any of them stays. Vertices of
    the `middle` collapse only along it. Different skin `weights` (V, B) make a collapse dearer,
    which leaves rings of vertices where limbs bend.
    """
    quadrics = _quadrics(shapes, faces)
    homogeneous = np.concatenate([shapes, np.ones((*shapes.shape[:2], 1))], -1)
    area = np.linalg.norm(_normals(shapes.mean(0), faces), axis=-1) / 2
    alive = {index: tuple(int(v) for v in face) for index, face in enumerate(faces)}
    owners: dict[int, set[int]] = {}
    vertex_area = np.zeros(shapes.shape[1])
    for index, face in alive.items():
        for vertex in face:
            owners.setdefault(vertex, set()).add(index)
            vertex_area[vertex] += area[index] / 3
    version = dict.fromkeys(owners, 0)
    count = itertools.count()
    heap: list = []

    def neighbours(vertex: int) -> set[int]:
        return {v for face in owners[vertex] for v in alive[face]} - {vertex}

    def push(start: int, end: int) -> None:
        if middle[start] and not middle[end]:
            return
        point = homogeneous[:, end]
        cost = np.einsum("si,sij,sj->", point, quadrics[start] + quadrics[end], point)
        bend = ((weights[start] - weights[end]) ** 2).sum()
        apart = ((shapes[:, start] - shapes[:, end]) ** 2).sum(-1).mean()
        cost = cost / len(shapes) + vertex_area[start] * (150 * bend + 1e-3 * apart)
        heapq.heappush(heap, (cost, next(count), start, end, version[start], version[end]))

    def allowed(start: int, end: int) -> bool:
        shared = owners[start] & owners[end]
        if len(neighbours(start) & neighbours(end)) != len(shared) or not shared:
            return False
        moving = owners[start] - shared
        if not moving:
            return False
        old = np.array([alive[face] for face in moving])
        new = np.where(old == start, end, old)
        before, after = _normals(shapes, old), _normals(shapes, new)
        size = np.linalg.norm(before, axis=-1) * np.linalg.norm(after, axis=-1)
        return bool(((before * after).sum(-1) > 0.2 * size).all())

    for vertex in owners:
        for other in neighbours(vertex):
            push(vertex, other)
    while len(owners) > keep and heap:
        _, _, start, end, start_version, end_version = heapq.heappop(heap)
        if start not in owners or end not in owners:
            continue
        if (start_version, end_version) != (version[start], version[end]):
            continue
        if not allowed(start, end):
            continue
        for face in owners[start] & owners[end]:
            for vertex in alive.pop(face):
                owners[vertex].discard(face)
        for face in owners.pop(start):
            alive[face] = tuple(end if v == start else v for v in alive[face])
            owners[end].add(face)
        quadrics[end] += quadrics[start]
        vertex_area[end] += vertex_area[start]
        version[end] += 1
        for other in neighbours(end):
            push(other, end)
            push(end, other)
    return np.array(list(alive.values()), np.int32)

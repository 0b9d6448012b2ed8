"""Strategies that draw under the mask: `mask` alone, and `weighted` populations of masked texts.

A masked text x is drawn with p(x) / Z(x), where Z(x) is the product of the legal masses of its places. So Z(x) is the
weight that makes averages unbiased, -log Z(x) its mask tax, and the distance of `mask` from the legal part of the
distribution is at most 1 - P(legal): no legal text becomes rarer than it was.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policykit.decoding.engine import Ask, Draw, Stop
from policykit.decoding.judge import Judgement
from policykit.decoding.memory import Place, condemn, learn
from policykit.decoding.result import Answer, Ending, Finish
from policykit.decoding.rewind import FINISHES
from policykit.decoding.run import Exhausted, Run
from policykit.decoding.steps import pick

_NONE = float("-inf")


def masking(run: Run) -> Iterator[Answer]:
    """Masked texts without end, each verified; raises Exhausted. Where the verifier refuses one, another is drawn."""
    while True:
        run.begin()
        (draw,), is_cut = run.draw(Ask((), run.max_length, is_masked=True))
        end = None if draw.logps is None else learn(run.root, draw)
        finish = Finish.CUT if is_cut else FINISHES[draw.stop]
        if finish in (Finish.CUT, Finish.DEAD_END, Finish.REFUSED):
            run.record(draw.token_ids, 0, finish, _why(finish, draw))
            if finish is Finish.DEAD_END and not draw.token_ids:  # proven, whether or not the engine tells masses
                condemn(run.root)
            _check_mass(run)
            continue
        judged = run.judge.judge(run.text(draw.token_ids, finish))
        run.record(draw.token_ids, 0, finish, judged)
        if judged.is_accepted and end is None:
            yield run.answer_of(draw.token_ids, finish, judged)
        elif judged.is_accepted and end is not None:
            yield run.answer(end, finish, judged, None if draw.log_legal is None else sum(draw.log_legal))
        elif end is not None and not judged.is_errored:
            condemn(end)
        _check_mass(run)


def _why(finish: Finish, draw: Draw) -> tuple[str, ...]:
    """Why a masked text failed before it was judged."""
    if finish is Finish.CUT:
        return ("the budget ended",)
    return draw.refused_by or ("nothing legal follows",)


def _check_mass(run: Run) -> None:
    """Under a mask little legal mass costs nothing (a grammar leaves little): only none at all ends the sampling."""
    if run.root.legal <= 0.0:
        raise Exhausted(Ending.NO_LEGAL_MASS)


@dataclass(slots=True)
class _Particle:
    """One text of a population, and the logarithm of its weight. ``place`` is where it stands in the run's tree."""

    token_ids: tuple[int, ...]
    place: Place
    log_weight: float
    finish: Finish | None = None
    why: tuple[str, ...] = ()


def populations(run: Run, n_particles: int, stride: int) -> Iterator[Answer]:
    """Sequential Monte Carlo under the mask: each answer is drawn by weight from a population of its own, and carries
    the population's estimate of the legal mass as its weight. Raises Exhausted.

    The estimate is unbiased, and so is its product with any function of the answer (Lew et al. 2023; Lipkin et al.
    2025), over all populations: one without an answer counts as 0. Where a check failed, a weight is missing, and the
    population has no estimate. Populations are looked at every ``stride`` tokens, and resampled where half of their
    weight is lost.
    """
    while True:
        run.begin(n_particles)
        particles = _population(run, n_particles, stride)
        weights = np.array([particle.log_weight for particle in particles])
        verdicts = [_judged(run, particle) for particle in particles]
        weights[[not (verdict and verdict.is_accepted) for verdict in verdicts]] = _NONE
        log_z = _log_mean(weights)
        is_known = not any(verdict and verdict.is_errored for verdict in verdicts)  # else some weight is not known
        run.log_z.append(log_z if is_known else None)
        if log_z > _NONE:
            chosen = particles[pick(np.exp(weights - weights.max()), run.rng)]
            finish = chosen.finish or Finish.LENGTH
            judged = run.judge.judge(run.text(chosen.token_ids, finish))
            yield run.answer(chosen.place, finish, judged, log_z if is_known else None)
        _check_mass(run)


def _population(run: Run, n: int, stride: int) -> list[_Particle]:
    particles = [_Particle((), run.root, 0.0) for _ in range(n)]
    while live := [particle for particle in particles if particle.finish is None]:
        asks = [Ask(one.token_ids, min(run.max_length, len(one.token_ids) + stride), is_masked=True) for one in live]
        draws, is_cut = run.draw(*asks)
        for particle, draw in zip(live, draws, strict=True):
            _advance(run, particle, draw)
        if is_cut:
            run.record(live[0].token_ids, 0, Finish.CUT, ("the budget ended",))
        particles = _resampled(run, particles)
    return particles


def _advance(run: Run, particle: _Particle, draw: Draw) -> None:
    particle.place = learn(particle.place, draw)
    particle.token_ids = (*particle.token_ids, *draw.token_ids)
    particle.log_weight += sum(draw.log_legal or ())
    if draw.stop in (Stop.DEAD_END, Stop.BROKEN):
        particle.log_weight, particle.finish = _NONE, FINISHES[draw.stop]
        particle.why = _why(particle.finish, draw)
    elif draw.stop is Stop.END or len(particle.token_ids) >= run.max_length:
        particle.finish = FINISHES[draw.stop]


def _resampled(run: Run, particles: list[_Particle]) -> list[_Particle]:
    """The population, by systematic resampling where its effective size has fallen under half."""
    weights = np.array([particle.log_weight for particle in particles])
    if weights.max() == _NONE or all(particle.finish is not None for particle in particles):
        return particles
    shares = np.exp(weights - weights.max())
    shares /= shares.sum()
    if 1.0 / float((shares * shares).sum()) >= len(particles) / 2:
        return particles
    mean = _log_mean(weights)
    points = (run.rng.random() + np.arange(len(particles))) / len(particles)
    sums = np.cumsum(shares)
    found: list[_Particle] = []
    for point in map(float, points):
        one = particles[min(int(np.searchsorted(sums, point, side="right")), len(particles) - 1)]
        found.append(_Particle(one.token_ids, one.place, mean, one.finish, one.why))
    return found


def _judged(run: Run, particle: _Particle) -> Judgement | None:
    """None for a text that failed while it was drawn."""
    finish = particle.finish or Finish.LENGTH
    if finish in (Finish.DEAD_END, Finish.REFUSED):
        run.record(particle.token_ids, 0, finish, particle.why)
        return None
    judged = run.judge.judge(run.text(particle.token_ids, finish))
    if not judged.is_accepted and not judged.is_errored:
        condemn(particle.place)
    run.record(particle.token_ids, 0, finish, judged)
    return judged


def _log_mean(weights: NDArray[np.float64]) -> float:
    peak = float(weights.max())
    return _NONE if peak == _NONE else peak + float(np.log(np.exp(weights - peak).mean()))

"""How large the simulated bottles are."""

import math
import random
from dataclasses import dataclass

# The 90th percentile of the standard normal distribution.
_Z90 = 1.2815515655446004


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeDistribution:
    """Bottle sizes in bytes: log-normal, or all alike when sigma is 0."""

    median_bytes: int
    sigma: float
    max_bytes: int

    @classmethod
    def fixed(cls, size_bytes: int) -> "SizeDistribution":
        """Every bottle has about this size; an archive cannot be much below 750 bytes."""
        return cls(median_bytes=size_bytes, sigma=0.0, max_bytes=size_bytes)

    @classmethod
    def lognormal(cls, *, median_bytes: int, p90_bytes: int, max_bytes: int) -> "SizeDistribution":
        """Half of the bottles are below the median, nine tenths below p90, none above max.

        Raises:
            ValueError: the three are not positive and in order.
        """
        if not 0 < median_bytes <= p90_bytes <= max_bytes:
            raise ValueError(f"median {median_bytes} <= p90 {p90_bytes} <= max {max_bytes} does not hold")
        sigma = math.log(p90_bytes / median_bytes) / _Z90
        return cls(median_bytes=median_bytes, sigma=sigma, max_bytes=max_bytes)

    def sample(self, seed: str) -> int:
        """The size that belongs to this seed."""
        if not self.sigma:
            return self.median_bytes
        drawn = random.Random(seed).lognormvariate(math.log(self.median_bytes), self.sigma)
        return min(self.max_bytes, round(drawn))


# Small enough that a world of thousands is made in seconds; real bottles are about a hundred times larger.
SMALL = SizeDistribution.lognormal(median_bytes=6_000, p90_bytes=48_000, max_bytes=1_000_000)

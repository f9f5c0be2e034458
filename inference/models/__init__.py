"""Models that do not come with the packages: which there are, where they live, how they are pulled."""

"""Named investigations: async functions that await tools and hand in findings."""

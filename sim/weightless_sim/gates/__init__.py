"""A decoder in the cells of a technology: mapped, simulated with real beats, its energy added up."""

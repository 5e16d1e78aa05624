std = "lua54"
max_line_length = 100
exclude_files = { "build" }

-- Loops that a break leaves at once are what some specs are about.
files["spec"] = { std = "+busted", ignore = { "512" } }
files["rockspec"] = { std = "+rockspec" }

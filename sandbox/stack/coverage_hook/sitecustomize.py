"""Python imports this at the start of a process: measure coverage when COVERAGE_PROCESS_START says
so. The folder is on the path of services only while tests measure."""

import coverage

coverage.process_startup()
